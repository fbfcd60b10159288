//! A task in one allocation: what is to be done, then what came of it, and who is to be told.
//!
//! Two know a task. Whoever is to run it has an [`Entry`] (in the queue, as part of a [`Job`]); whoever asked for it has
//! a [`Handle`] (in a `Future`). The state, and which of the two has let go of it, is one atomic word of core's
//! ([`Cell`]), and from it follows who may touch what:
//!
//! | state | what is in `stage` | who may touch it |
//! |---|---|---|
//! | pending | the closure | nobody; who makes the next step owns it |
//! | running | the closure, then nothing, then the result | who started it |
//! | done, failed | the value, the exception | all may look at it; who owns the handle may take or drop it once it is *settled* |
//! | cancelled | the closure, then nothing | who cancelled it |
//!
//! A task that nobody watched is settled as soon as it has ended. Of one that somebody watched, whoever ended it first
//! wakes those who wait for the end, then calls the callbacks, which look at the result; then it is settled, and those
//! who want to take the result are told. A handle that goes in between leaves the result to whoever ended it.
//! Memory is freed by whichever of entry and handle goes last.
//!
//! Tasks that were submitted together lie in one block, up to [`BLOCK`] of them, which is freed with the last.
//!
//! This is the one place where tasks are unsafe. It is attacked by the loom tests below, and by miri where there is one.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, forget, take};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::task::Waker;

use tidemill_core::future::{Cell, State};

use super::exception::{Exception, catch};
use super::gate::{Gate, Line};
use super::sync::{Arc, AtomicUsize, Mutex, Ordering, UnsafeCell, lock};
use crate::log::tell;

/// How many tasks lie in one block at most.
pub(super) const BLOCK: usize = 64;

/// How many callbacks a future has at most.
pub(super) const CALLBACKS_MAX: usize = 1024;

/// What is the same of every task.
struct Head {
    of: &'static Of,
    /// Which pool it belongs to.
    home: usize,
    watchers: Mutex<Option<Box<Watchers>>>,
    /// Its place in its block, from 1; 0: it was allocated alone.
    place: u32,
    cell: Cell,
}

/// `repr(C)`: a pointer to the task is one to its head.
#[repr(C)]
struct Task<F, T> {
    head: Head,
    stage: UnsafeCell<Stage<F, T>>,
}

union Stage<F, T> {
    todo: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
    exception: ManuallyDrop<Exception>,
}

/// What depends on the types of a task. Each is given a pointer to a whole task of those types.
struct Of {
    /// Runs what is to be done and puts what came of it in its place. Whether it did not panic.
    call: unsafe fn(NonNull<Head>) -> bool,
    /// Drops what is to be done.
    drop_todo: unsafe fn(NonNull<Head>),
    /// Drops what came of it.
    drop_value: unsafe fn(NonNull<Head>),
    /// Drops what is to be done and puts an exception in its place.
    fail: unsafe fn(NonNull<Head>, Exception),
    /// Where the value lies.
    value: unsafe fn(NonNull<Head>) -> *const (),
    /// Where the exception lies.
    exception: unsafe fn(NonNull<Head>) -> *const Exception,
    layout: Layout,
}

impl<F: FnOnce() -> T, T> Task<F, T> {
    const OF: Of = Of {
        call: Self::call,
        drop_todo: Self::drop_todo,
        drop_value: Self::drop_value,
        fail: Self::fail,
        value: Self::value,
        exception: Self::exception,
        layout: Layout::new::<Self>(),
    };

    fn new(f: F, home: usize, place: u32) -> Self {
        let head = Head { of: &Self::OF, home, watchers: Mutex::new(None), place, cell: Cell::new() };
        Self { head, stage: UnsafeCell::new(Stage { todo: ManuallyDrop::new(f) }) }
    }

    /// # Safety
    /// For all of these: `head` is that of a living `Self`, and the table above lets the caller touch the stage.
    unsafe fn call(head: NonNull<Head>) -> bool {
        // SAFETY: by contract. The closure is moved out once, as only one start succeeds.
        let (task, f) = unsafe {
            let task = head.cast::<Self>().as_ref();
            (task, task.stage.with_mut(|stage| ManuallyDrop::take(&mut (*stage).todo)))
        };
        let result = catch(f);
        let ok = result.is_ok();
        let stage = match result {
            Ok(value) => Stage { value: ManuallyDrop::new(value) },
            Err(exception) => {
                tell!(Debug, "a task failed: {exception}");
                Stage { exception: ManuallyDrop::new(exception) }
            }
        };
        // SAFETY: by contract. There is nothing in it that would have to be dropped.
        task.stage.with_mut(|place| unsafe { place.write(stage) });
        ok
    }

    unsafe fn drop_todo(head: NonNull<Head>) {
        // SAFETY: by contract.
        unsafe { head.cast::<Self>().as_ref().stage.with_mut(|stage| ManuallyDrop::drop(&mut (*stage).todo)) }
    }

    unsafe fn drop_value(head: NonNull<Head>) {
        // SAFETY: by contract, and the state says which of the two is there.
        unsafe {
            let task = head.cast::<Self>().as_ref();
            match task.head.cell.state() {
                State::Done => task.stage.with_mut(|stage| ManuallyDrop::drop(&mut (*stage).value)),
                State::Failed => task.stage.with_mut(|stage| ManuallyDrop::drop(&mut (*stage).exception)),
                _ => {}
            }
        }
    }

    unsafe fn fail(head: NonNull<Head>, exception: Exception) {
        // SAFETY: by contract.
        unsafe {
            let task = head.cast::<Self>().as_ref();
            let todo = task.stage.with_mut(|stage| ManuallyDrop::take(&mut (*stage).todo));
            task.stage.with_mut(|stage| stage.write(Stage { exception: ManuallyDrop::new(exception) }));
            drop(todo);
        }
    }

    unsafe fn value(head: NonNull<Head>) -> *const () {
        // SAFETY: by contract.
        unsafe { head.cast::<Self>().as_ref().stage.with(|stage| (&raw const (*stage).value).cast()) }
    }

    unsafe fn exception(head: NonNull<Head>) -> *const Exception {
        // SAFETY: by contract.
        unsafe { head.cast::<Self>().as_ref().stage.with(|stage| (&raw const (*stage).exception).cast()) }
    }
}

/// What precedes the tasks of a block.
struct Block {
    /// How many of its tasks are still known to anybody.
    live: AtomicUsize,
    layout: Layout,
}

/// Where a block's tasks begin.
fn block_start(of: &Of) -> usize {
    size_of::<Block>().next_multiple_of(of.layout.align())
}

/// Who is to be told of a task's end.
pub(super) enum Watcher {
    /// A thread waits for the end.
    Ended(Arc<Gate>),
    /// A thread waits for the end of this one of many, in the order in which they end.
    InLine(Arc<Line>, usize),
    /// To be called.
    Callback(Callback),
    /// A thread waits until the result may be taken, or is gone if nobody wants it.
    Settled(Arc<Gate>),
    /// A task of some executor waits until the result may be taken.
    Waker(Waker),
}

/// Given to [`TaskRef`] of the future's own type.
pub(super) type Callback = Box<dyn FnOnce(TaskRef) + Send>;

#[derive(Default)]
struct Watchers {
    list: Vec<Watcher>,
    callbacks: usize,
    settled: bool,
    /// The handle has gone and left the result to whoever ended the task.
    orphaned: bool,
}

/// A task, known to its entry, its handle, or during a call to a watcher.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskRef(NonNull<Head>);

// SAFETY: it is a name; all that is done with it is atomic, or behind a lock, or unsafe in itself. What is in the stage
// may go from thread to thread, because `alone` and `block` ask for it, and be looked at by many only through a handle
// that is `Sync`.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    fn head(&self) -> &Head {
        // SAFETY: whoever has a `TaskRef` keeps the task alive: an entry or handle that has not been let go of, or the
        // call in which it was given.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn state(self) -> State {
        self.head().cell.state()
    }

    pub(super) fn home(self) -> usize {
        self.head().home
    }

    /// What distinguishes it from all others.
    pub(super) fn id(self) -> usize {
        self.0.addr().get()
    }

    /// Whether its result may be taken.
    pub(super) fn is_settled(self) -> bool {
        let head = self.head();
        head.cell.state().is_ended()
            && (!head.cell.parties().watched || lock(&head.watchers).as_ref().is_some_and(|watchers| watchers.settled))
    }

    /// Has somebody told of the end; or hands it back because that has come, for `Settled` and `Waker` because it is
    /// settled. A waker replaces the one that was there.
    ///
    /// # Errors
    /// `Err((watcher, full))`: `full` if there are too many callbacks.
    pub(super) fn watch(self, watcher: Watcher) -> Result<(), (Watcher, bool)> {
        let head = self.head();
        if head.cell.state().is_ended() && !head.cell.parties().watched {
            return Err((watcher, false));
        }
        let mut watchers = lock(&head.watchers);
        let watchers = watchers.get_or_insert_default();
        // Of a task that has ended and that somebody watched, who ended it looks here once more before it is settled.
        let until_settled = matches!(watcher, Watcher::Settled(_) | Watcher::Waker(_));
        let told = head.cell.watch() || until_settled && head.cell.parties().watched && !watchers.settled;
        if !told {
            return Err((watcher, false));
        }
        match watcher {
            Watcher::Waker(_) => watchers.list.retain(|other| !matches!(other, Watcher::Waker(_))),
            Watcher::Callback(_) if watchers.callbacks == CALLBACKS_MAX => return Err((watcher, true)),
            Watcher::Callback(_) => watchers.callbacks += 1,
            _ => {}
        }
        watchers.list.push(watcher);
        Ok(())
    }

    /// Forgets those for whom this is true.
    pub(super) fn unwatch(self, whom: impl Fn(&Watcher) -> bool) {
        if let Some(watchers) = lock(&self.head().watchers).as_mut() {
            watchers.list.retain(|watcher| !whom(watcher));
        }
    }

    /// Cancels it if it is pending; true also if it was cancelled before.
    ///
    /// # Panics
    /// If dropping the closure does, after all were told.
    pub(super) fn cancel(self) -> bool {
        let Some(watched) = self.head().cell.cancelled_by() else { return self.state() == State::Cancelled };
        // SAFETY: this call cancelled it, so the closure is there, and ours.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { (self.head().of.drop_todo)(self.0) }));
        if watched {
            self.tell(false);
        }
        dropped.unwrap_or_else(|payload| resume_unwind(payload));
        true
    }

    /// Runs it in this thread if it is pending, for a handle that waits for it. Whether it did.
    pub(super) fn run_for_handle(self) -> bool {
        if !self.head().cell.start() {
            return false;
        }
        // SAFETY: this call started it.
        let ok = unsafe { (self.head().of.call)(self.0) };
        // It was running, so that this cannot be refused.
        if self.head().cell.finish(ok) == Ok(true) {
            self.tell(false);
        }
        true
    }

    /// Tells all who watch of the end, and settles it. `abandoned`: the handle had gone when it ended.
    fn tell(self, abandoned: bool) {
        let head = self.head();
        let failed = head.cell.state() == State::Failed;
        let watchers = lock(&head.watchers).as_mut().map(|watchers| take(&mut watchers.list)).unwrap_or_default();
        let mut later = Vec::new();
        for watcher in watchers {
            match watcher {
                Watcher::Ended(gate) => gate.tell(failed),
                Watcher::InLine(line, place) => line.tell(place),
                _ => later.push(watcher),
            }
        }
        let (callbacks, mut settled): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|watcher| matches!(watcher, Watcher::Callback(_)));
        for callback in callbacks {
            if let Watcher::Callback(callback) = callback {
                // Not a task's panic: the hook that was there has told of it.
                let _ = catch_unwind(AssertUnwindSafe(|| callback(self)));
            }
        }
        let mut orphaned = abandoned;
        if let Some(watchers) = lock(&head.watchers).as_mut() {
            settled.append(&mut watchers.list);
            watchers.settled = true;
            orphaned |= watchers.orphaned;
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            if orphaned {
                // SAFETY: it has ended, and its handle has left it to us.
                unsafe { (head.of.drop_value)(self.0) }
            }
        }));
        for watcher in settled {
            match watcher {
                Watcher::Settled(gate) => gate.tell(failed),
                Watcher::Waker(waker) => waker.wake(),
                _ => {}
            }
        }
        dropped.unwrap_or_else(|payload| resume_unwind(payload));
    }

    /// # Safety
    /// The task is one whose value is a `T`, it has ended, and nobody takes or drops the value for `'a`.
    pub(super) unsafe fn peek<'a, T>(self) -> Result<&'a T, Option<&'a Exception>> {
        let of = self.head().of;
        // SAFETY: by contract.
        unsafe {
            match self.state() {
                State::Done => Ok(&*(of.value)(self.0).cast::<T>()),
                State::Failed => Err(Some(&*(of.exception)(self.0))),
                _ => Err(None),
            }
        }
    }

    /// # Safety
    /// Neither entry nor handle knows it any more, and what was in its stage is gone.
    unsafe fn free(self) {
        let head = self.head();
        let (of, place) = (head.of, head.place as usize);
        // SAFETY: by contract, this is the last use of the head; the layouts are those of the allocation, and a task
        // of a block lies `place - 1` tasks after the block's start.
        unsafe {
            self.0.drop_in_place();
            let Some(before) = place.checked_sub(1) else {
                dealloc(self.0.as_ptr().cast(), of.layout);
                return;
            };
            let block = self.0.cast::<u8>().sub(before * of.layout.size() + block_start(of)).cast::<Block>();
            if block.as_ref().live.fetch_sub(1, Ordering::AcqRel) == 1 {
                let layout = block.as_ref().layout;
                block.drop_in_place();
                dealloc(block.as_ptr().cast(), layout);
            }
        }
    }
}

/// Frees a task, also when what was in it panics while it is dropped.
struct Free(TaskRef);

impl Drop for Free {
    fn drop(&mut self) {
        // SAFETY: whoever makes a `Free` is the last to know the task.
        unsafe { self.0.free() }
    }
}

/// The side of a task that is to run it. Dropped, it cancels the task.
pub(crate) struct Entry(TaskRef);

impl Entry {
    /// Runs the task, unless it was cancelled or somebody runs it. Whether it did.
    ///
    /// # Panics
    /// If nobody wants the result and dropping it panics.
    #[inline]
    pub(super) fn run(self) -> bool {
        self.start().map(Started::end).is_some()
    }

    /// Fails the task with this, unless it was cancelled or somebody runs it.
    pub(super) fn fail(self, exception: Exception) {
        if let Some(started) = self.start() {
            started.fail(exception);
        }
    }

    /// Begins the task, whose work is done elsewhere; `None`: it was cancelled, or somebody runs it.
    #[inline]
    pub(crate) fn start(self) -> Option<Started> {
        let task = self.0;
        if !task.head().cell.start() {
            return None;
        }
        forget(self);
        Some(Started(task))
    }

    /// What distinguishes its task from all others.
    pub(crate) fn id(&self) -> usize {
        self.0.id()
    }

    #[inline]
    fn finish(task: TaskRef, ok: bool) {
        // It was running, so that this cannot be refused.
        let Ok(parties) = task.head().cell.finish_and_release(ok) else { return };
        if parties.watched {
            let _release = Release(task);
            task.tell(parties.abandoned);
        } else if parties.abandoned {
            let _free = Free(task);
            // SAFETY: it has ended, and nobody else knows it.
            unsafe { (task.head().of.drop_value)(task.0) }
        }
    }
}

/// The side of a task that has begun. Dropped, it fails the task.
pub(crate) struct Started(TaskRef);

impl Started {
    /// Calls the task's closure, and so ends it.
    ///
    /// # Panics
    /// As [`Entry::run`].
    #[inline]
    pub(crate) fn end(self) {
        let task = self.0;
        forget(self);
        // SAFETY: it was started, by whoever made this, which is gone now.
        let ok = unsafe { (task.head().of.call)(task.0) };
        Entry::finish(task, ok);
    }

    /// Ends it with this exception.
    pub(crate) fn fail(self, exception: Exception) {
        let task = self.0;
        forget(self);
        // SAFETY: it was started, by whoever made this, which is gone now.
        let failed = catch_unwind(AssertUnwindSafe(|| unsafe { (task.head().of.fail)(task.0, exception) }));
        Entry::finish(task, false);
        failed.unwrap_or_else(|payload| resume_unwind(payload));
    }

    /// What distinguishes its task from all others.
    pub(crate) fn id(&self) -> usize {
        self.0.id()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        Self(self.0).fail(Exception::broken("whoever was to end the task has gone"));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _release = Release(self.0);
        if self.0.state() == State::Pending {
            self.0.cancel();
        }
    }
}

/// Lets go of a task that has been told of, also when that panics.
struct Release(TaskRef);

impl Drop for Release {
    fn drop(&mut self) {
        if self.0.head().cell.release().abandoned {
            drop(Free(self.0));
        }
    }
}

/// Entries of tasks that lie one after the other, in their order. Dropped, it cancels them.
pub(super) struct Job {
    first: TaskRef,
    count: usize,
}

impl Job {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Takes the second half out; `None` if there is only one task, or none.
    pub(super) fn split(&mut self) -> Option<Self> {
        let half = self.count / 2;
        if half == 0 {
            return None;
        }
        self.count -= half;
        Some(Self { first: self.task_at(self.count), count: half })
    }

    /// Only for `at <= count`.
    fn task_at(&self, at: usize) -> TaskRef {
        if at == 0 {
            return self.first;
        }
        let size = self.first.head().of.layout.size();
        // SAFETY: so many tasks of this size lie there in one block; the pointer to one came from that to the block.
        TaskRef(unsafe { self.first.0.byte_add(at * size) })
    }
}

impl Iterator for Job {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        self.count = self.count.checked_sub(1)?;
        let entry = Entry(self.first);
        if self.count > 0 {
            self.first = self.task_at(1);
        }
        Some(entry)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// The side of a task that owns its result.
pub(super) struct Handle<T> {
    task: TaskRef,
    value: PhantomData<T>,
}

// SAFETY: a handle hands out the value, or looks at it. The closure was `Send`, and is none of its business.
unsafe impl<T: Send> Send for Handle<T> {}
// SAFETY: as above; shared, it hands out references to the value.
unsafe impl<T: Send + Sync> Sync for Handle<T> {}

impl<T> Handle<T> {
    pub(super) fn task(&self) -> TaskRef {
        self.task
    }

    /// What came of it, once it has ended; `Err(None)`: it was cancelled, or has not ended.
    pub(super) fn peek(&self) -> Result<&T, Option<&Exception>> {
        // SAFETY: the type is that of the task; whoever else drops the value does so because this handle has gone.
        unsafe { self.task.peek() }
    }

    /// Takes what came of it.
    ///
    /// # Errors
    /// `Err(None)`: it was cancelled.
    ///
    /// # Panics
    /// If it is not settled.
    pub(super) fn take(self) -> Result<T, Option<Exception>> {
        assert!(self.task.is_settled(), "nobody takes a result before its time");
        let task = self.task;
        // SAFETY: it is settled, so that the value is the handle's; it is moved out once, as the handle goes.
        let result = unsafe {
            match task.peek::<T>() {
                Ok(value) => Ok(std::ptr::read(value)),
                Err(Some(exception)) => Err(Some(std::ptr::read(exception))),
                Err(None) => Err(None),
            }
        };
        forget(self);
        drop(Leave(task));
        result
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        let head = self.task.head();
        if head.cell.abandon() {
            return;
        }
        let _leave = Leave(self.task);
        if head.cell.parties().watched
            && let Some(watchers) = lock(&head.watchers).as_mut()
            && !watchers.settled
        {
            watchers.orphaned = true;
            return;
        }
        // SAFETY: it is settled, and this is the handle.
        unsafe { (head.of.drop_value)(self.task.0) }
    }
}

/// The handle goes, and what was in the task with it, also when that panics.
struct Leave(TaskRef);

impl Drop for Leave {
    fn drop(&mut self) {
        if self.0.head().cell.leave().released {
            drop(Free(self.0));
        }
    }
}

/// A task of a pool.
///
/// # Safety
/// What `f` borrows lives until the task has ended and is settled.
pub(super) unsafe fn alone<F: FnOnce() -> T + Send, T: Send>(f: F, home: usize) -> (Job, Handle<T>) {
    let task = Box::into_raw(Box::new(Task::new(f, home, 0)));
    // SAFETY: a box is never null.
    let task = TaskRef(unsafe { NonNull::new_unchecked(task) }.cast());
    (Job { first: task, count: 1 }, Handle { task, value: PhantomData })
}

/// Tasks of a pool in one block, up to [`BLOCK`] of them, taken from the front of `closures`; `None` if there are none.
pub(super) fn block<F: FnOnce() -> T + Send + 'static, T: Send + 'static>(
    closures: &mut impl ExactSizeIterator<Item = F>,
    home: usize,
    handles: &mut impl FnMut(Handle<T>),
) -> Option<Job> {
    let count = closures.len().min(BLOCK);
    if count == 0 {
        return None;
    }
    let of = &Task::<F, T>::OF;
    let start = block_start(of);
    let layout = Layout::from_size_align(start + count * of.layout.size(), of.layout.align().max(align_of::<Block>()));
    // A closure that is that large was refused by the compiler.
    let layout = layout.unwrap_or(of.layout);
    assert!(layout.size() >= start + count * of.layout.size(), "tasks too large to lie in a block");
    let mut job = None;
    // SAFETY: the size is not zero; block and tasks are written where the layout has room for them, and a task is made
    // known to its job and handle when it is there. If fewer closures come than were promised, the others are not
    // counted; if their iterator panics, they are, and the block is leaked.
    unsafe {
        let Some(memory) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
        memory.cast::<Block>().write(Block { live: AtomicUsize::new(count), layout });
        let mut filled = 0;
        for f in closures.take(count) {
            let task = memory.add(start + filled * of.layout.size()).cast::<Task<F, T>>();
            filled += 1;
            task.write(Task::new(f, home, filled as u32));
            let task = TaskRef(task.cast());
            job.get_or_insert(Job { first: task, count: 0 }).count = filled;
            handles(Handle { task, value: PhantomData });
        }
        memory.cast::<Block>().as_ref().live.fetch_sub(count - filled, Ordering::AcqRel);
        if filled == 0 {
            dealloc(memory.as_ptr(), layout);
        }
    }
    job
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::thread;
    use std::sync::Arc as Plain;

    /// A task whose closure and result each hold a reference to what is counted.
    fn task(counted: &Plain<()>) -> (Job, Handle<Plain<()>>) {
        let (captured, result) = (counted.clone(), counted.clone());
        // SAFETY: it borrows nothing.
        unsafe {
            alone(
                move || {
                    drop(captured);
                    result
                },
                7,
            )
        }
    }

    fn run(mut job: Job) -> thread::JoinHandle<bool> {
        thread::spawn(move || job.next().is_some_and(Entry::run))
    }

    #[test]
    fn loom_of_a_cancel_and_a_start_one_wins_and_everything_is_dropped_once() {
        loom::model(|| {
            let counted = Plain::new(());
            let (job, handle) = task(&counted);
            let worker = run(job);
            let cancelled = handle.task().cancel();
            if cancelled {
                assert_eq!(Plain::strong_count(&counted), 1, "what it captured is gone when cancel returns");
            }
            drop(handle);
            assert_ne!(worker.join().unwrap(), cancelled);
            assert_eq!(Plain::strong_count(&counted), 1);
        });
    }

    #[test]
    fn loom_of_an_end_and_a_handle_that_goes_the_result_is_dropped_once() {
        for watched in [false, true] {
            loom::model(move || {
                let counted = Plain::new(());
                let (job, handle) = task(&counted);
                if watched {
                    let seen = counted.clone();
                    assert!(handle.task().watch(Watcher::Callback(Box::new(move |_| drop(seen)))).is_ok());
                }
                let worker = run(job);
                drop(handle);
                assert!(worker.join().unwrap());
                assert_eq!(Plain::strong_count(&counted), 1);
            });
        }
    }

    #[test]
    fn loom_two_who_wait_are_both_told_and_see_the_result() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(|| {
            let counted = Plain::new(());
            let (job, handle) = task(&counted);
            let handle = Plain::new(handle);
            let worker = run(job);
            let wait = |handle: &Handle<Plain<()>>| {
                let gate = Arc::new(Gate::new(1));
                if handle.task().watch(Watcher::Ended(gate.clone())).is_ok() {
                    gate.wait(None);
                }
                assert!(handle.peek().is_ok());
            };
            let theirs = handle.clone();
            let other = thread::spawn(move || wait(&theirs));
            wait(&handle);
            other.join().unwrap();
            worker.join().unwrap();
            drop(handle);
            assert_eq!(Plain::strong_count(&counted), 1);
        });
    }

    #[test]
    fn loom_a_callback_added_while_it_ends_is_called_once_before_the_result_is_taken() {
        loom::model(|| {
            let counted = Plain::new(());
            let (job, handle) = task(&counted);
            let called = Plain::new(std::sync::atomic::AtomicUsize::new(0));
            let worker = run(job);
            let by = called.clone();
            let callback = move |task: TaskRef| {
                // SAFETY: nobody takes the result before the callbacks have been called.
                assert!(unsafe { task.peek::<Plain<()>>() }.is_ok());
                by.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            };
            if let Err((Watcher::Callback(callback), false)) =
                handle.task().watch(Watcher::Callback(Box::new(callback)))
            {
                callback(handle.task());
            }
            let gate = Arc::new(Gate::new(1));
            if !handle.task().is_settled() && handle.task().watch(Watcher::Settled(gate.clone())).is_ok() {
                gate.wait(None);
            }
            assert_eq!(called.load(std::sync::atomic::Ordering::Relaxed), 1);
            drop(handle.take().ok());
            worker.join().unwrap();
            assert_eq!(Plain::strong_count(&counted), 1);
        });
    }

    #[test]
    fn loom_who_gives_up_waiting_while_it_ends_leaves_nothing_behind() {
        loom::model(|| {
            let counted = Plain::new(());
            let (job, handle) = task(&counted);
            let worker = run(job);
            let gate = Arc::new(Gate::new(1));
            if handle.task().watch(Watcher::Ended(gate.clone())).is_ok() {
                handle.task().unwatch(|watcher| matches!(watcher, Watcher::Ended(other) if Arc::ptr_eq(other, &gate)));
            }
            drop(handle);
            worker.join().unwrap();
            assert_eq!(Plain::strong_count(&counted), 1);
        });
    }

    #[test]
    fn loom_of_a_worker_and_a_waiter_who_helps_one_runs_it() {
        loom::model(|| {
            let counted = Plain::new(());
            let (job, handle) = task(&counted);
            let worker = run(job);
            let helped = handle.task().run_for_handle();
            if helped {
                drop(handle.take().ok());
            } else {
                drop(handle);
            }
            assert_ne!(worker.join().unwrap(), helped);
            assert_eq!(Plain::strong_count(&counted), 1);
        });
    }

    #[test]
    fn loom_a_block_is_freed_with_its_last_task() {
        loom::model(|| {
            let counted = Plain::new(());
            let mut closures = vec![counted.clone(), counted.clone()].into_iter().map(|counted| move || counted);
            let mut handles = Vec::new();
            let mut job = block(&mut closures, 7, &mut |handle| handles.push(handle)).unwrap();
            let other = run(job.split().unwrap());
            let worker = run(job);
            drop(handles);
            assert!(worker.join().unwrap() && other.join().unwrap());
            assert_eq!(Plain::strong_count(&counted), 1);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A task whose closure and result each hold a reference to what is counted.
    fn task(counted: &Arc<()>) -> (Job, Handle<Arc<()>>) {
        let (captured, result) = (counted.clone(), counted.clone());
        let todo = move || {
            drop(captured);
            result
        };
        // SAFETY: it borrows nothing.
        unsafe { alone(todo, 7) }
    }

    #[test]
    fn in_whatever_order_it_is_run_cancelled_taken_and_dropped_everything_is_dropped_once() {
        let counted = Arc::new(());
        type Order = fn(Job, Handle<Arc<()>>);
        let orders: [Order; 9] = [
            |job, handle| drop((job, handle)),
            |job, handle| drop((handle, job)),
            |mut job, handle| {
                assert!(job.next().unwrap().run());
                drop(handle.take().unwrap());
            },
            |mut job, handle| {
                drop(handle);
                assert!(job.next().unwrap().run());
            },
            |mut job, handle| {
                assert!(handle.task().cancel());
                assert!(!job.next().unwrap().run());
                assert!(matches!(handle.take(), Err(None)));
            },
            |job, handle| {
                assert!(handle.task().run_for_handle());
                drop(handle.take().unwrap());
                job.for_each(|entry| assert!(!entry.run()));
            },
            |job, handle| {
                let callback = Arc::new(());
                let inside = callback.clone();
                assert!(handle.task().watch(Watcher::Callback(Box::new(move |_| drop(inside)))).is_ok());
                job.for_each(|entry| entry.fail(Exception::broken("a test")));
                assert_eq!(Arc::strong_count(&callback), 1);
                assert!(handle.peek().unwrap_err().is_some());
            },
            |mut job, handle| {
                let started = job.next().unwrap().start().unwrap();
                assert!(!handle.task().cancel());
                started.end();
                drop(handle.take().unwrap());
            },
            |mut job, handle| {
                drop(job.next().unwrap().start());
                assert!(handle.peek().unwrap_err().is_some());
            },
        ];
        for order in orders {
            let (job, handle) = task(&counted);
            order(job, handle);
            assert_eq!(Arc::strong_count(&counted), 1);
        }
    }

    #[test]
    fn the_tasks_of_a_block_go_one_by_one_and_the_block_with_the_last() {
        let counted = Arc::new(());
        let mut closures = vec![counted.clone(); 70].into_iter().map(|counted| move || counted);
        let mut handles = Vec::new();
        let mut first = block(&mut closures, 7, &mut |handle| handles.push(handle)).unwrap();
        let rest = block(&mut closures, 7, &mut |handle| handles.push(handle)).unwrap();
        assert_eq!((first.len(), rest.len(), handles.len()), (BLOCK, 70 - BLOCK, 70));
        assert!(block(&mut closures, 7, &mut |handle| handles.push(handle)).is_none());
        let half = first.split().unwrap();
        assert_eq!((first.len(), half.len()), (32, 32));
        half.for_each(|entry| assert!(entry.run()));
        drop((first, rest));
        assert_eq!(Arc::strong_count(&counted), 33, "32 have results, 38 were cancelled");
        handles.truncate(40);
        assert!(handles.drain(..).skip(32).all(|handle| handle.take().is_ok()));
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
