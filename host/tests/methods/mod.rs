//! Tests that are run by every start method.

/// Runs each test by spawn and by the fork server here, and by fork in a child, since this process has threads.
macro_rules! by_every_method {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[test]
                fn by_spawn() {
                    super::$name(super::StartMethod::Spawn);
                }
                #[test]
                fn by_forkserver() {
                    super::$name(super::StartMethod::ForkServer);
                }
                #[test]
                fn by_fork() {
                    let name = stringify!($name).to_owned();
                    let child = super::Process::new(super::runs_a_body_by_fork, name).method(super::StartMethod::Spawn);
                    child.start().unwrap().result().unwrap();
                }
            }
        )+
        fn runs_a_body_by_fork(name: String) {
            match name.as_str() {
                $(stringify!($name) => $name(StartMethod::Fork),)+
                other => panic!("no body {other}"),
            }
        }
    };
}
