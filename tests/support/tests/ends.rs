//! The watchdog: each way to stand still ends, and says where it was.

use sockless_test_support::{ALL, left_out, soon, watch, within};
use std::pin::pin;
use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use std::{env, thread};

/// Set in a process that is to run one of the tests below to its end.
const ALONE: &str = "SOCKLESS_TESTS_ALONE";

/// Runs this test in a process of its own, which may stand still for so many seconds.
fn apart(test: &str, still: u64, what: fn()) -> Option<Output> {
    apart_with(test, still, false, what)
}

/// The same, where all tests are to run, or not.
fn apart_with(test: &str, still: u64, all: bool, what: fn()) -> Option<Output> {
    if env::var_os(ALONE).is_some() {
        what();
        return None;
    }
    let program = env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", test]).env(ALONE, "1").env("SOCKLESS_TESTS_STILL", still.to_string()).env_remove(ALL);
    if all {
        command.env(ALL, "1");
    }
    Some(within("the other process", || command.output()).unwrap())
}

fn ended(output: &Output, said: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    for said in said {
        assert!(text.contains(said), "{said:?} is missing in {text}");
    }
}

#[test]
fn a_wait() {
    let hang = || {
        let (_sender, receiver) = channel::<()>();
        within("what never comes", || receiver.recv().unwrap());
    };
    if let Some(output) = apart("a_wait", 1, hang) {
        ended(
            &output,
            &["==> a_wait: waits for what never comes, tests/", "ends.rs:", "ends::a_wait", "thread a_wait: "],
        );
    }
}

#[test]
fn a_wait_for_a_future() {
    let hang = || {
        let mut future = pin!(soon("a future", std::future::pending::<()>()));
        while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            thread::yield_now();
        }
    };
    if let Some(output) = apart("a_wait_for_a_future", 1, hang) {
        ended(&output, &["==> a_wait_for_a_future: waits for a future, tests/"]);
    }
}

#[test]
fn a_loop() {
    let hang = || {
        watch();
        loop {
            thread::yield_now();
        }
    };
    if let Some(output) = apart("a_loop", 1, hang) {
        ended(&output, &["==> a_loop: was last seen, tests/"]);
    }
}

/// Longer than it may stand still, with something done all the time.
#[test]
fn one_that_goes_on_is_let_be() {
    let slow = || {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            within("a moment", || thread::sleep(Duration::from_millis(1)));
        }
    };
    if let Some(output) = apart("one_that_goes_on_is_let_be", 2, slow) {
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_test_that_cannot_run() {
    let leave_out = || left_out("something is not installed");
    if let Some(output) = apart("a_test_that_cannot_run", 60, leave_out) {
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("a_test_that_cannot_run is left out: something is not installed"), "{text}");
    }
}

#[test]
fn a_test_that_cannot_run_and_has_to() {
    let leave_out = || left_out("something is not installed");
    if let Some(output) = apart_with("a_test_that_cannot_run_and_has_to", 60, true, leave_out) {
        assert!(!output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("something is not installed, and"), "{output:?}");
    }
}
