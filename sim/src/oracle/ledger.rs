//! Nothing is done twice that was asked for once.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A book that all hosts of a world write into, and no crash tears: who asked for what, who did it, who was answered
/// what. Cloning shares it. For requests that must not be done twice; what may be, a download say, needs none.
///
/// ```
/// use tidemill_sim::oracle::Ledger;
/// let ledger = Ledger::default();
/// let order = 17;
/// ledger.asked(order);
/// ledger.done(order, b"one coffee")?;
/// ledger.answered(order, b"one coffee")?;
/// // The answer was lost, the client asks again, and the server does not know it any more.
/// assert_eq!(ledger.done(order, b"one coffee"), Err("[ledger] request 17 was done twice".into()));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct Ledger(Rc<RefCell<Book>>);

#[derive(Default, Debug)]
struct Book {
    /// What was asked, and the answer of what was done.
    requests: BTreeMap<u64, Option<Vec<u8>>>,
    offence: Option<String>,
}

impl Ledger {
    /// A client asks for this; asking again is allowed.
    pub fn asked(&self, request: u64) {
        self.0.borrow_mut().requests.entry(request).or_default();
    }

    /// A server does it, and its answer will be this.
    ///
    /// # Errors
    /// It was done before, or nobody asked.
    pub fn done(&self, request: u64, answer: &[u8]) -> Result<(), String> {
        let mut book = self.0.borrow_mut();
        let why = match book.requests.get_mut(&request) {
            None => format!("[ledger] nobody asked for request {request}"),
            Some(Some(_)) => format!("[ledger] request {request} was done twice"),
            Some(done) => {
                *done = Some(answer.to_vec());
                return Ok(());
            }
        };
        book.offence.get_or_insert(why.clone());
        Err(why)
    }

    /// A client is answered this.
    ///
    /// # Errors
    /// It is not the answer to this request, or there was none.
    pub fn answered(&self, request: u64, answer: &[u8]) -> Result<(), String> {
        let mut book = self.0.borrow_mut();
        let why = match book.requests.get(&request) {
            Some(Some(right)) if right == answer => return Ok(()),
            Some(Some(_)) => format!("[ledger] request {request} got another's answer"),
            _ => format!("[ledger] request {request} was answered and never done"),
        };
        book.offence.get_or_insert(why.clone());
        Err(why)
    }

    /// Whether all was well so far: for the end of a run, whatever has crashed since.
    ///
    /// # Errors
    /// The first offence.
    pub fn check(&self) -> Result<(), String> {
        self.0.borrow().offence.clone().map_or(Ok(()), Err)
    }

    /// How many requests were done.
    pub fn count(&self) -> usize {
        self.0.borrow().requests.values().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offence_is_told() {
        let ledger = Ledger::default();
        assert_eq!(ledger.done(1, b""), Err("[ledger] nobody asked for request 1".into()));
        ledger.asked(1);
        ledger.asked(1);
        assert_eq!(ledger.answered(1, b"a"), Err("[ledger] request 1 was answered and never done".into()));
        ledger.done(1, b"a").unwrap();
        assert_eq!(ledger.answered(1, b"b"), Err("[ledger] request 1 got another's answer".into()));
        assert_eq!((ledger.answered(1, b"a"), ledger.count()), (Ok(()), 1));
        assert_eq!(ledger.check(), Err("[ledger] nobody asked for request 1".into()));
    }
}
