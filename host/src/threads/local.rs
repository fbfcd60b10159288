//! A value of its own for each thread: `threading.local`.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A value for each thread that asks, made by `init` when it first does. Unlike those of `thread_local!` it is a value
/// itself, of which there may be many, made and dropped at run time: a thread's value is dropped when the thread ends, or
/// when the `Local` is, whichever comes first. O(1).
///
/// ```
/// use tidemill_host::threads::{Local, ThreadPool};
///
/// let pool = ThreadPool::new(2)?;
/// let local = Local::new(Vec::new);
/// local.set(vec![1]);
/// pool.scope(|scope| {
///     let theirs = scope.submit(|| local.with(|list| list.len())).unwrap().result(None);
///     assert_eq!(theirs.unwrap(), 0);
/// });
/// assert_eq!(local.get(), [1]);
/// # Ok::<(), tidemill_host::threads::BuildError>(())
/// ```
pub struct Local<T: Send + 'static> {
    id: u64,
    store: Arc<Store<T>>,
    init: Box<dyn Fn() -> T + Send + Sync>,
}

/// The values of one `Local`, by the thread's number.
struct Store<T>(Mutex<HashMap<u64, Arc<Value<T>>>>);

struct Value<T>(T);

// SAFETY: only the thread whose value it is looks at it: others have it in the store, to be dropped there, or dropped
// by a thread that ends, which is to send it.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Value<T> {}

/// What a thread that ends does with its value of one `Local`.
trait Forget: Send + Sync {
    fn forget(&self, thread: u64);
}

impl<T: Send> Forget for Store<T> {
    fn forget(&self, thread: u64) {
        let value = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread);
        drop(value);
    }
}

/// A thread, and what it knows of its values; it keeps none.
struct Mine {
    thread: u64,
    values: HashMap<u64, Known>,
    /// When there are so many, those that are gone are forgotten.
    sweep_at: usize,
}

struct Known {
    value: Weak<dyn Any + Send + Sync>,
    store: Weak<dyn Forget>,
}

impl Drop for Mine {
    fn drop(&mut self) {
        for known in self.values.values() {
            if let Some(store) = known.store.upgrade() {
                store.forget(self.thread);
            }
        }
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    static MINE: RefCell<Mine> =
        RefCell::new(Mine { thread: next(), values: HashMap::new(), sweep_at: 16 });
}

impl<T: Send + 'static> Local<T> {
    /// None has a value yet.
    pub fn new(init: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { id: next(), store: Arc::new(Store(Mutex::default())), init: Box::new(init) }
    }

    /// Calls `look` with this thread's value, made now if there was none.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        let value = self.known().unwrap_or_else(|| self.keep((self.init)()));
        look(&value.0)
    }

    /// This thread's value, made now if there was none.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Gives this thread another value. The one before is dropped, inside a [`with`](Self::with) at its end.
    pub fn set(&self, value: T) {
        self.keep(value);
    }

    /// Whether this thread has a value.
    pub fn is_set(&self) -> bool {
        self.known().is_some()
    }

    fn known(&self) -> Option<Arc<Value<T>>> {
        let value = MINE.with_borrow(|mine| mine.values.get(&self.id)?.value.upgrade())?;
        value.downcast().ok()
    }

    fn keep(&self, value: T) -> Arc<Value<T>> {
        let value = Arc::new(Value(value));
        let any: Arc<dyn Any + Send + Sync> = value.clone();
        let store: Arc<dyn Forget> = self.store.clone();
        let known = Known { value: Arc::downgrade(&any), store: Arc::downgrade(&store) };
        let thread = MINE.with_borrow_mut(|mine| {
            if mine.values.len() >= mine.sweep_at {
                mine.values.retain(|_, known| known.store.strong_count() > 0);
                mine.sweep_at = 16.max(2 * mine.values.len());
            }
            mine.values.insert(self.id, known);
            mine.thread
        });
        let mut values = self.store.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = values.insert(thread, value.clone());
        drop(values);
        drop(before);
        value
    }
}

impl<T: Send + Default + 'static> Default for Local<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: Send + 'static> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
