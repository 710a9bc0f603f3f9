use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte of a range.
    pub(crate) fn first_byte(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

/// What it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(crate) cut_after: Option<usize>,
    /// The body comes in chunks, and its length is not said.
    pub(crate) chunked: bool,
    /// Nothing more comes after what is sent, and the connection stays open for so long.
    pub(crate) stalls: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut_after: None,
            chunked: false,
            stalls: Duration::ZERO,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn chunked(mut self) -> Reply {
        self.chunked = true;
        self
    }

    pub(crate) fn stalls(mut self, time: Duration) -> Reply {
        self.stalls = time;
        self
    }

    pub(crate) fn cut_after(mut self, n_bytes: usize) -> Reply {
        self.cut_after = Some(n_bytes);
        self
    }
}

/// A file as a good server answers for it: by range, and not at all to whoever has it.
pub(crate) fn file(bytes: &[u8], etag: &str, asked: &Asked) -> Reply {
    if asked.header("if-none-match") == Some(etag) {
        return Reply::new(304, "").header("ETag", etag);
    }
    let first = asked
        .first_byte()
        .filter(|_| asked.header("if-range").is_none_or(|tag| tag == etag));
    match first {
        None => Reply::new(200, bytes).header("ETag", etag),
        Some(first) if first >= bytes.len() => {
            Reply::new(416, "").header("Content-Range", format!("bytes */{}", bytes.len()))
        }
        Some(first) => Reply::new(206, &bytes[first..])
            .header("ETag", etag)
            .header(
                "Content-Range",
                format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len()),
            ),
    }
}

/// A web server on this machine, which remembers what it was asked.
pub(crate) struct Server {
    pub(crate) base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers every request with what `answer` makes of it and of the number of requests before it.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        // It ends with the test binary.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || {
                    let stream = stream.expect("a connection");
                    let Some(asked) = read(&stream) else { return };
                    let nth = {
                        let mut log = log.lock().expect("not poisoned");
                        log.push(asked.clone());
                        log.len() - 1
                    };
                    write(stream, &answer(&asked, nth));
                });
            }
        });
        Server { base, asked }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// An address on it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// An address on which nobody answers.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// The next request on a connection.
pub(crate) fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream.take(1 << 20));
    let mut lines = reader.by_ref().lines();
    let request = lines.next()?.ok()?;
    let path = request.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let n_bytes = headers.get("content-length").and_then(|n| n.parse().ok());
    let mut body = vec![0; n_bytes.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        path,
        headers,
        body,
    })
}

fn write(mut stream: TcpStream, reply: &Reply) {
    let length = match reply.chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {}", reply.body.len()),
    };
    let mut head = format!(
        "HTTP/1.1 {} X\r\nConnection: close\r\n{length}\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let n_bytes = reply.cut_after.unwrap_or(reply.body.len());
    // The client may have gone.
    let _ = stream.write_all(head.as_bytes());
    let body = &reply.body[..n_bytes.min(reply.body.len())];
    if reply.chunked {
        for chunk in body.chunks(10_000) {
            let _ = stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes());
            let _ = stream.write_all(chunk);
            let _ = stream.write_all(b"\r\n");
        }
        if reply.cut_after.is_none() {
            let _ = stream.write_all(b"0\r\n\r\n");
        }
    } else {
        let _ = stream.write_all(body);
    }
    thread::sleep(reply.stalls);
}
