//! A host that is killed at each of its steps between an order's request and the recorded end of its mails, one after the other and
//! none left out: before each of its calls of the system that reads, writes or sends anything. What awaits between is nothing that
//! anybody else could see.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::rig::Rig;

/// What reaches files and other processes.
const CALLS: &str =
    "read,readv,pread64,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,connect,close";

/// More steps than a delivery takes.
const POINTS_MAX: usize = 2_000;

/// Tries every `stride`th step, until the host outlives the order: there is no further one.
pub async fn killed_at_each(rig: &mut Rig, stride: usize) {
    let program = rig.plan.program.clone();
    let first = rig.random.below(stride) + 1;
    for point in (first..POINTS_MAX).step_by(stride) {
        let mut tracer = attach(rig.places[0].pid(), point);
        rig.order(point);
        let mut is_done = false;
        while !is_done && !rig.places[0].has_ended() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            is_done = rig.is_done().await;
        }
        let _ = tracer.kill();
        tracer.wait().unwrap();
        if rig.places[0].has_ended() {
            rig.faults += 1;
            rig.places[0].kill();
            rig.places[0].start(&program).await;
        }
        if is_done {
            return;
        }
        rig.done().await;
    }
    panic!("a delivery takes more than {POINTS_MAX} steps");
}

/// Kills a process before a thread's call of that number.
fn attach(pid: u32, point: usize) -> Child {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", &format!("inject={CALLS}:signal=KILL:when={point}"), "-e", &format!("trace={CALLS}")]);
    strace.args(["-p", &pid.to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut strace = strace.spawn().unwrap();
    let mut lines = BufReader::new(strace.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("attached")), "strace could not be attached");
    // It must not wait for anybody to read the rest.
    std::thread::spawn(move || lines.for_each(drop));
    strace
}

/// Whether it can be done here.
pub fn has_strace() -> bool {
    Command::new("strace").arg("--version").output().is_ok()
}
