//! HTTP beside other clients.
fn main() {}
