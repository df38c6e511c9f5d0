//! A connection's way to the database or a relay, which can be cut, stopped and slowed down.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::random::Random;

/// What becomes of bytes, both ways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They are passed on.
    Open,
    /// They are passed on after a while.
    Slow(Duration),
    /// They are taken, and go nowhere: of the other side nothing is heard, not even its end.
    Silent,
    /// Connections are closed as they come.
    Closed,
}

/// Ends with its last connection when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    to: Mutex<SocketAddr>,
    way: watch::Sender<Way>,
    connections: Mutex<Vec<CancellationToken>>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way::Open);
        let shared = Arc::new(Shared { to: Mutex::new(to), way, connections: Mutex::default() });
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "ends with the proxy")]
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve(listener, shared.clone(), stop.clone())));
        Self { address, shared, _stop: stop.drop_guard() }
    }

    pub fn set(&self, way: Way) {
        self.shared.way.send_replace(way);
        if way == Way::Closed {
            self.cut();
        }
    }

    /// New connections go there.
    pub fn lead_to(&self, address: SocketAddr) {
        *self.shared.to.lock().unwrap() = address;
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.shared.connections.lock().unwrap().drain(..).for_each(|connection| connection.cancel());
    }

    /// Ends one connection; false: there is none.
    pub fn cut_one(&self, random: &mut Random) -> bool {
        let mut connections = self.shared.connections.lock().unwrap();
        connections.retain(|connection| !connection.is_cancelled());
        if connections.is_empty() {
            return false;
        }
        let at = random.below(connections.len());
        connections.swap_remove(at).cancel();
        true
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let (here, _) = listener.accept().await.unwrap();
        if *shared.way.borrow() == Way::Closed {
            continue;
        }
        let to = *shared.to.lock().unwrap();
        let end = stop.child_token();
        shared.connections.lock().unwrap().push(end.clone());
        let way = shared.way.subscribe();
        #[expect(clippy::disallowed_methods, reason = "ends with the proxy")]
        tokio::spawn(async move {
            let _ended = end.clone().drop_guard();
            let Ok(there) = TcpStream::connect(to).await else { return };
            let _ = (here.set_nodelay(true), there.set_nodelay(true));
            let (asked, answer) = here.into_split();
            let (answered, ask) = there.into_split();
            tokio::select! {
                () = end.cancelled() => {}
                () = pass(asked, ask, way.clone()) => {}
                () = pass(answered, answer, way) => {}
            }
        });
    }
}

/// Until one side ends, and for ever where nothing is to be heard of that.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await;
        let now = *way.borrow();
        if let Way::Slow(by) = now {
            tokio::time::sleep(by).await;
        }
        if way.wait_for(|way| *way != Way::Silent).await.is_err() {
            return;
        }
        let Ok(length @ 1..) = read else { return };
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
