//! Numbers in shared memory: Python's `Value` and `Array`.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::region::{Head, Segment};
use super::{Error, Guard, Lock, LockError};

#[repr(C)]
#[derive(Debug)]
struct Nothing;

// SAFETY: there is nothing.
#[expect(unsafe_code, reason = "promises what the trait says")]
unsafe impl Head for Nothing {
    const KIND: u64 = u64::from_le_bytes(*b"tidearry");
}

mod sealed {
    pub trait Sealed {}
}

/// What can be in an [`Array`]: integers of up to 64 bits, floats, `bool`.
pub trait Plain: Copy + sealed::Sealed {
    #[doc(hidden)]
    fn to_word(self) -> u64;
    #[doc(hidden)]
    fn from_word(word: u64) -> Self;
}

macro_rules! plain {
    ($($type:ty: $from:expr, $to:expr);+ $(;)?) => {$(
        impl sealed::Sealed for $type {}
        impl Plain for $type {
            fn to_word(self) -> u64 {
                let to: fn($type) -> u64 = $to;
                to(self)
            }
            fn from_word(word: u64) -> Self {
                let from: fn(u64) -> $type = $from;
                from(word)
            }
        }
    )+};
}

plain! {
    u8: |word| word as u8, u64::from;
    u16: |word| word as u16, u64::from;
    u32: |word| word as u32, u64::from;
    u64: |word| word, |value| value;
    i8: |word| word as i8, |value| value as u64;
    i16: |word| word as i16, |value| value as u64;
    i32: |word| word as i32, |value| value as u64;
    i64: |word| word as i64, |value| value as u64;
    f32: |word| f32::from_bits(word as u32), |value| u64::from(value.to_bits());
    f64: f64::from_bits, f64::to_bits;
    bool: |word| word != 0, u64::from;
}

/// Numbers that processes share, and a lock for those who change several, or one by what it was. Each takes eight bytes, and is
/// read and written whole, with or without the lock. `Clone` is another handle to the same.
///
/// ```
/// use tidemill_host::ipc::Array;
/// let levels = Array::from_slice(&[1.5, 2.5, 3.5])?;
/// levels.set(1, 9.0);
/// assert_eq!(levels.get(1), Some(9.0));
/// assert_eq!(levels.slice(1..9), [9.0, 3.5]);
/// # Ok::<(), tidemill_host::ipc::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Array<T: Plain> {
    words: Segment<Nothing>,
    lock: Lock,
    kind: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Array<T> {
    /// So many zeroes.
    ///
    /// # Errors
    /// [`Error::Config`]: more than there can be; [`Error::Os`]: no descriptor or memory is left.
    pub fn new(len: usize) -> Result<Self, Error> {
        let words = Segment::new(len.checked_mul(8).ok_or(Error::Config)?)?;
        Ok(Self { words, lock: Lock::recursive()?, kind: PhantomData })
    }

    /// With these.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_slice(values: &[T]) -> Result<Self, Error> {
        let array = Self::new(values.len())?;
        array.set_slice(0, values);
        Ok(array)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.len() / 8
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one with this number.
    pub fn get(&self, index: usize) -> Option<T> {
        Some(T::from_word(self.words.word(index)?.load(Acquire)))
    }

    /// Sets the one with this number. False: there is none.
    pub fn set(&self, index: usize, value: T) -> bool {
        self.words.word(index).is_some_and(|word| {
            word.store(value.to_word(), Release);
            true
        })
    }

    /// Those of `range` that there are.
    pub fn slice(&self, range: Range<usize>) -> Vec<T> {
        (range.start..range.end.min(self.len())).filter_map(|index| self.get(index)).collect()
    }

    /// Sets those from `at` on, as far as there are any.
    pub fn set_slice(&self, at: usize, values: &[T]) {
        for (index, &value) in (at..self.len()).zip(values) {
            self.set(index, value);
        }
    }

    /// Takes the lock, which is a [recursive](Lock::recursive) one. It keeps out who takes it as well.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    #[doc(alias = "get_lock")]
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<Guard, LockError> {
        self.lock.acquire(timeout)
    }
}

/// One number that processes share: see [`Array`].
///
/// ```
/// use tidemill_host::ipc::Value;
/// let count = Value::new(41_u64)?;
/// assert_eq!(count.update(|count| count + 1)?, 42);
/// assert_eq!(count.get(), 42);
/// # Ok::<(), tidemill_host::ipc::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Value<T: Plain>(Array<T>);

impl<T: Plain> Value<T> {
    /// With this value.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor or memory is left.
    pub fn new(value: T) -> Result<Self, Error> {
        Ok(Self(Array::from_slice(&[value])?))
    }

    /// What it is.
    pub fn get(&self) -> T {
        self.0.get(0).unwrap_or(T::from_word(0))
    }

    /// Sets it.
    pub fn set(&self, value: T) {
        self.0.set(0, value);
    }

    /// Sets it by what it was, with the lock: what it is now. One who held the lock and died has done no harm: a value is whole.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn update(&self, change: impl FnOnce(T) -> T) -> Result<T, Error> {
        let _guard = self.acquire(None).or_else(LockError::into_guard)?;
        let value = change(self.get());
        self.set(value);
        Ok(value)
    }

    /// Takes the lock: see [`Array::acquire`].
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    #[doc(alias = "get_lock")]
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<Guard, LockError> {
        self.0.acquire(timeout)
    }
}
