//! The unsafe part: memory that several processes map.
//!
//! It is a memfd whose size is sealed, so that no holder can take memory away from under another. Whoever has it may write
//! anything anywhere at any time; so what is in it is only ever seen as atomics, and bytes are copied before they are looked
//! at. It goes when the last process that holds it does, however that ends.
//!
//! Where the system has no memfd (an old kernel, a sandbox) it is a file without a name, in memory if there is `/dev/shm`. That
//! cannot be sealed, and is taken from another process only where this one, too, cannot have a memfd.
#![expect(unsafe_code, reason = "maps memory, and sees atomics in it")]

use std::env::temp_dir;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::Mode;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, travel};

/// What may stand at the head of shared memory.
///
/// # Safety
/// `repr(C)`, aligned to at most [`HEAD`] bytes, valid whatever the bytes are, and made of what may change while it is
/// looked at: atomics and [`Robust`](super::robust::Robust).
pub(super) unsafe trait Head: Send + Sync {
    /// Tells it from others.
    const KIND: u64;
}

/// Where the head is; before it is its kind.
const HEAD: usize = 128;

#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    len: usize,
    file: OwnedFd,
}

// SAFETY: the memory belongs to the region, wherever that is, until it is dropped.
unsafe impl Send for Region {}
// SAFETY: all access to the memory is by atomics, or by copies whose order atomics tell.
unsafe impl Sync for Region {}

impl Region {
    fn map(file: OwnedFd, len: usize) -> Result<Self, Error> {
        let length = NonZeroUsize::new(len).ok_or(Error::Damaged)?;
        let (access, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a fresh mapping, where the kernel finds room.
        let start = unsafe { mmap(None, length, access, flags, &file, 0) }?;
        Ok(Self { start: start.cast(), len, file })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and every reference into it borrows from the region.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// A file of `len` zeroes to be mapped by several processes. It has no name, so it is gone with the last of them.
pub(crate) fn shared_file(len: usize) -> Result<OwnedFd, Errno> {
    let size = i64::try_from(len).map_err(|_| Errno::EFBIG)?;
    let file = match memfd() {
        Ok(file) => file,
        Err(why) if is_refused(why) => {
            return [Path::new("/dev/shm"), &temp_dir()]
                .into_iter()
                .find_map(|folder| nameless(folder, size).ok())
                .ok_or(why);
        }
        Err(why) => return Err(why),
    };
    nix::unistd::ftruncate(&file, size)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

fn memfd() -> Result<OwnedFd, Errno> {
    memfd_create(c"tidemill", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
}

/// Whether the system has no memfd, or none for this process; not that something has run out.
fn is_refused(why: Errno) -> bool {
    matches!(why, Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::EINVAL)
}

/// Its space is taken at once: what is missing later would kill who writes there.
fn nameless(folder: &Path, size: i64) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_TMPFILE | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(folder, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    nix::fcntl::posix_fallocate(&file, 0, size)?;
    Ok(file)
}

/// Whether nobody can take memory away from a file that another process gave.
fn is_fixed(file: &OwnedFd) -> bool {
    match fcntl(file, FcntlArg::F_GET_SEALS) {
        Ok(seals) if SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) => true,
        _ => memfd().is_err_and(is_refused),
    }
}

/// Shared memory with an `H` at its head, and bytes after that. `Clone` is another handle to the same.
#[derive(Debug)]
pub(super) struct Segment<H>(Arc<Region>, std::marker::PhantomData<fn() -> H>);

impl<H> Clone for Segment<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1)
    }
}

impl<H: Head> Segment<H> {
    /// Where the bytes begin.
    const BYTES: usize = (HEAD + size_of::<H>()).next_multiple_of(HEAD);

    /// New memory, all zero.
    pub(super) fn new(bytes: usize) -> Result<Self, Error> {
        const { assert!(align_of::<H>() <= HEAD) };
        let len = Self::BYTES.checked_add(bytes).filter(|&len| i64::try_from(len).is_ok()).ok_or(Error::Config)?;
        let segment = Self(Arc::new(Region::map(shared_file(len)?, len)?), std::marker::PhantomData);
        segment.kind().store(H::KIND, Ordering::Release);
        Ok(segment)
    }

    /// Memory that another process made.
    pub(super) fn adopt(file: OwnedFd) -> Result<Self, Error> {
        let len = usize::try_from(nix::sys::stat::fstat(&file)?.st_size).unwrap_or(0);
        if !is_fixed(&file) || len < Self::BYTES {
            return Err(Error::Damaged);
        }
        let segment = Self(Arc::new(Region::map(file, len)?), std::marker::PhantomData);
        if segment.kind().load(Ordering::Acquire) == H::KIND { Ok(segment) } else { Err(Error::Damaged) }
    }

    fn kind(&self) -> &AtomicU64 {
        // SAFETY: the mapping is at least this long and begins with a page; any bytes are a valid atomic.
        unsafe { self.0.start.cast().as_ref() }
    }

    /// How many bytes there are after the head.
    pub(super) fn len(&self) -> usize {
        self.0.len - Self::BYTES
    }

    /// Copies `bytes` to where they belong in the bytes, as far as there is room.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) {
        let len = bytes.len().min(self.len().saturating_sub(at));
        if len > 0 {
            // SAFETY: from `at` on there are `len` bytes, as was just seen. Others may write there at the same time only
            // if they break the protocol, and then what comes of it are wrong bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.start.as_ptr().add(Self::BYTES + at), len);
            };
        }
    }

    /// Copies from the bytes into `buf`, as far as there are any.
    pub(super) fn read(&self, at: usize, buf: &mut [u8]) {
        let len = buf.len().min(self.len().saturating_sub(at));
        if len > 0 {
            // SAFETY: as above.
            unsafe {
                std::ptr::copy_nonoverlapping(self.0.start.as_ptr().add(Self::BYTES + at), buf.as_mut_ptr(), len);
            };
        }
    }

    /// As [`write`](Self::write), in a ring of `capacity` bytes, a power of two, that begins at `base`.
    pub(super) fn write_ring(&self, base: usize, capacity: usize, position: u64, bytes: &[u8]) {
        let at = position as usize & (capacity - 1);
        let (first, second) = bytes.split_at(bytes.len().min(capacity - at));
        self.write(base + at, first);
        self.write(base, second);
    }

    /// As [`read`](Self::read), in a ring.
    pub(super) fn read_ring(&self, base: usize, capacity: usize, position: u64, buf: &mut [u8]) {
        let at = position as usize & (capacity - 1);
        let (first, second) = buf.split_at_mut(buf.len().min(capacity - at));
        self.read(base + at, first);
        self.read(base, second);
    }

    /// The atomic word of eight bytes with this number; the last if there are fewer.
    pub(super) fn word(&self, index: usize) -> Option<&AtomicU64> {
        let at = index.checked_mul(8).filter(|at| at.checked_add(8).is_some_and(|end| end <= self.len()))?;
        // SAFETY: there are eight bytes, aligned since BYTES is; any bytes are a valid atomic.
        Some(unsafe { self.0.start.add(Self::BYTES + at).cast().as_ref() })
    }
}

impl<H: Head> Deref for Segment<H> {
    type Target = H;

    fn deref(&self) -> &H {
        // SAFETY: the mapping has room for it there, is aligned, and `H` promises to be valid whatever the bytes are.
        unsafe { self.0.start.add(HEAD).cast().as_ref() }
    }
}

impl<H> Serialize for Segment<H> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        travel::put(self.0.file.as_fd()).map_err(serde::ser::Error::custom)?.serialize(to)
    }
}

impl<'de, H: Head> Deserialize<'de> for Segment<H> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let file = travel::take(u32::deserialize(from)?).map_err(serde::de::Error::custom)?;
        Self::adopt(file).map_err(serde::de::Error::custom)
    }
}

/// Something that has a cache line, and the one that the processor fetches with it, to itself.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Apart<T>(pub(super) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
