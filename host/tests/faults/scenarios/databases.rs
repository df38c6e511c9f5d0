//! A database's server that dies, or is not to be reached as it was.

use std::time::Duration;

use crate::database::{Kind, Server};
use crate::proxy::Way;
use crate::rig::Rig;

/// With all its processes, while it commits.
pub async fn killed(rig: &mut Rig, server: &mut Server, times: usize) {
    for _ in 0..times {
        rig.pause(1_000, 2_000).await;
        server.kill();
        rig.pause(0, 1_000).await;
        server.restart().await;
        rig.faults += 1;
    }
    rig.pause(2_000, 3_000).await;
}

/// A standby takes the place of a server that dies. Where commits wait for it, it has all of them.
pub async fn failed_over(rig: &mut Rig, server: &mut Server, is_synchronous: bool) {
    let mut standby = server.standby().await;
    let names = if is_synchronous { "standby" } else { "" };
    server.execute(&format!("alter system set synchronous_standby_names = '{names}'")).await;
    server.execute("select pg_reload_conf()").await;
    rig.pause(2_000, 3_000).await;
    server.kill();
    rig.proxy.as_ref().expect("before it").set(Way::Closed);
    standby.execute("select pg_wal_replay_resume()").await;
    standby.promote().await;
    standby.execute("alter system reset synchronous_standby_names").await;
    standby.execute("select pg_reload_conf()").await;
    let proxy = rig.proxy.as_ref().expect("before it");
    proxy.lead_to(standby.address());
    proxy.set(Way::Open);
    let port = |server: &Server| format!(":{}/", server.address().port());
    rig.database.direct = rig.database.direct.replace(&port(server), &port(&standby));
    std::mem::swap(server, &mut standby);
    rig.faults += 1;
    rig.pause(3_000, 4_000).await;
}

/// As when its disk is full, or a failover has led hosts to a standby.
pub async fn read_only(rig: &mut Rig, server: &Server, pause: Duration) {
    let set = async |is_read_only: bool| {
        if server.kind == Kind::Postgres {
            server.execute(&format!("alter system set default_transaction_read_only = {is_read_only}")).await;
            server.execute("select pg_reload_conf()").await;
        } else {
            server.execute(&format!("set global read_only = {is_read_only}")).await;
        }
    };
    rig.pause(1_000, 2_000).await;
    set(true).await;
    tokio::time::sleep(pause).await;
    set(false).await;
    rig.faults += 1;
    rig.pause(1_000, 2_000).await;
}

/// One connection after the other, whatever is under way on it.
pub async fn cut(rig: &mut Rig, times: usize) {
    while rig.faults < times {
        rig.pause(10, 100).await;
        let proxy = rig.proxy.as_ref().expect("before it");
        rig.faults += usize::from(proxy.cut_one(&mut rig.random));
    }
    rig.pause(1_000, 2_000).await;
}

/// The other side is gone without a word, and then comes back.
pub async fn half_open(rig: &mut Rig, times: usize) {
    for _ in 0..times {
        rig.pause(1_000, 2_000).await;
        rig.proxy.as_ref().expect("before it").set(Way::Silent);
        rig.pause(3_000, 6_000).await;
        let proxy = rig.proxy.as_ref().expect("before it");
        proxy.cut();
        proxy.set(Way::Open);
        rig.faults += 1;
    }
    rig.pause(1_000, 2_000).await;
}

/// Half a second for each way of each statement.
pub async fn slow(rig: &mut Rig, pause: Duration) {
    rig.pause(1_000, 2_000).await;
    rig.proxy.as_ref().expect("before it").set(Way::Slow(Duration::from_millis(500)));
    tokio::time::sleep(pause).await;
    rig.proxy.as_ref().expect("before it").set(Way::Open);
    rig.faults += 1;
    rig.pause(1_000, 2_000).await;
}
