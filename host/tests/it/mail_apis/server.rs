//! A provider's server that does as it is told: it answers, is silent, or hangs up after so many bytes, of the request or of its
//! own answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// It is answered.
    Answer(String),
    /// It is answered, and the connection closed.
    AnswerAndClose(String),
    /// It is read, and so many bytes of the answer are written.
    CutAnswer(String, usize),
    /// So many bytes of it are read.
    CutRequest(usize),
    /// It is read, and never answered.
    Silence,
    /// So many bytes of it are read, and it is answered.
    AnswerEarly(String, usize),
}

pub struct Server {
    pub port: u16,
    acts: Arc<Mutex<VecDeque<Act>>>,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<Mutex<u32>>,
}

/// What each provider says when it has taken a mail, in one.
pub const TAKEN: &str = r#"{"MessageId": "1", "id": "<1@shop.example>", "ErrorCode": 0, "MessageID": "1"}"#;

/// An answer with a body.
pub fn answer(status: u16, body: &str) -> String {
    with_header(status, "content-type: application/json", body)
}

/// The same with one more header.
pub fn with_header(status: u16, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

impl Server {
    /// Answers what it is told nothing of with 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            acts: Arc::default(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (acts, requests, connections) = (server.acts.clone(), server.requests.clone(), server.connections.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                *connections.lock().unwrap() += 1;
                tokio::spawn(serve(socket, acts.clone(), requests.clone()));
            }
        });
        server
    }

    /// What becomes of the next request of which nothing is said yet.
    pub fn then(&self, act: Act) {
        self.acts.lock().unwrap().push_back(act);
    }

    /// What was read as a whole.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> u32 {
        *self.connections.lock().unwrap()
    }
}

async fn serve(mut socket: TcpStream, acts: Arc<Mutex<VecDeque<Act>>>, requests: Arc<Mutex<Vec<Vec<u8>>>>) {
    loop {
        let act = {
            // Nobody knows what comes before it comes.
            let mut first = [0];
            if !matches!(socket.peek(&mut first).await, Ok(1)) {
                return;
            }
            acts.lock().unwrap().pop_front().unwrap_or_else(|| Act::Answer(answer(200, TAKEN)))
        };
        let bytes_max = if let Act::CutRequest(bytes) | Act::AnswerEarly(_, bytes) = act { bytes } else { usize::MAX };
        let read = read(&mut socket, bytes_max).await;
        if let Act::AnswerEarly(text, _) = &act {
            let _ = socket.write_all(text.as_bytes()).await;
            std::future::pending::<()>().await;
        }
        let Some(request) = read else { return };
        requests.lock().unwrap().push(request);
        let (text, stays) = match &act {
            Act::Answer(text) => (text.as_str(), true),
            Act::AnswerAndClose(text) => (text.as_str(), false),
            Act::CutAnswer(text, bytes) => (&text[..*bytes], false),
            Act::CutRequest(_) | Act::AnswerEarly(..) => return,
            Act::Silence => std::future::pending().await,
        };
        if socket.write_all(text.as_bytes()).await.is_err() || !stays {
            return;
        }
    }
}

/// A request as a whole; none if it is not read to its end.
async fn read(socket: &mut TcpStream, bytes_max: usize) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8(read[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if read.len() >= end + length.parse::<usize>().unwrap() {
                return Some(read);
            }
        }
        let room = bytes_max - read.len();
        if room == 0 {
            return None;
        }
        let mut piece = vec![0; room.min(16_384)];
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(bytes) => read.extend_from_slice(&piece[..bytes]),
        }
    }
}
