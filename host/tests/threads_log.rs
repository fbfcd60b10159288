//! What a pool does can be followed through the `log` crate. Its own binary: there is one logger in a process.

use std::sync::Mutex;

use tidemill_host::threads::ThreadPool;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// The lines that begin so, and forgets all.
fn told(level: &str) -> Vec<String> {
    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    lines.into_iter().filter(|line| line.starts_with(level)).collect()
}

#[test]
fn the_life_of_a_pool_and_what_goes_wrong_in_it_are_told() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Debug);

    let pool = ThreadPool::builder().workers(1).capacity(1).name("mill").build().unwrap();
    let (go, hold) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = std::sync::mpsc::channel::<()>();
    let first = move || begun.send(()).map(|()| hold.recv());
    let mut first = pool.submit(first).unwrap();
    begins.recv().unwrap();
    let mut second = pool.submit(|| panic!("the race is dry")).unwrap();
    assert!(pool.submit(|| ()).is_err());
    go.send(()).unwrap();
    first.result(None).unwrap().unwrap().unwrap();
    assert!(second.result(None).is_err());
    pool.shutdown(true, false);
    let lines = told("DEBUG tidemill_host::threads::");
    let expected = [
        "shared mill-0: started",
        "shared mill: full, 1 refused",
        "task a task failed: ",
        "shared mill: shut down, 0 tasks wait",
        "worker mill-0: ended",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        let line = line.strip_prefix("DEBUG tidemill_host::threads::").unwrap();
        assert!(line.starts_with(expected), "{line}");
    }
    assert!(lines[2].contains("the race is dry"), "{lines:?}");

    let broken = ThreadPool::builder().workers(1).name("leak").initializer(|| panic!("no water")).build().unwrap();
    let _ = broken.submit(|| ()).unwrap().result(None);
    broken.shutdown(true, false);
    let lines = told("ERROR");
    assert!(lines.len() == 1 && lines[0].contains("leak: ") && lines[0].contains("no water"), "{lines:?}");

    struct Explodes;
    impl Drop for Explodes {
        fn drop(&mut self) {
            panic!("what is left of a task");
        }
    }
    let pool = ThreadPool::builder().workers(1).name("wreck").build().unwrap();
    drop(pool.submit(|| Explodes).unwrap());
    pool.shutdown(true, false);
    assert_eq!(told("WARN"), ["WARN tidemill_host::threads::worker wreck-0: died, and is replaced"]);
}
