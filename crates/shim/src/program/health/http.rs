//! Just enough HTTP/1.1 to ask whether somebody is well.
//!
//! Of an answer only the status and the beginning of the body are of interest, so reading stops
//! there. Redirections are not followed: whoever can redirect is alive.

use shim::health::Target;

use super::output::Output;

/// Bytes of an answer's head at most, with the interim answers before it. As most servers
/// allow for a request's.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the body that are worth waiting for: more is not kept.
const BODY_BYTES_MAX: usize = 4096;

/// Bytes that are worth reading for that, with what divides the body into chunks.
const RAW_BODY_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// The request for `path`.
pub(crate) fn request(target: Target, path: &str) -> Vec<u8> {
    let host = match target.address {
        None => format!("localhost:{}", target.port),
        Some(address) => std::net::SocketAddr::new(address, target.port).to_string(),
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wharf-health\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// What a server answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub is_healthy: bool,
    /// The status line, and the beginning of the body.
    pub output: String,
}

/// Reads an answer of which `bytes` have come so far. `None`: there is more to wait for, which
/// is never so if the connection `has_ended`, nor if the container has sent much: it may send
/// for ever.
pub(crate) fn read_answer(bytes: &[u8], has_ended: bool) -> Result<Option<Answer>, String> {
    let Some((head, rest)) = final_head(bytes)? else {
        return match () {
            () if bytes.len() > HEAD_BYTES_MAX => {
                Err(format!("the head of the answer is longer than {HEAD_BYTES_MAX} bytes"))
            }
            () if has_ended => Err("the connection ended before there was an answer".to_owned()),
            () => Ok(None),
        };
    };
    let (body, is_complete) = head.body(rest);
    let is_enough = body.len() > BODY_BYTES_MAX || rest.len() > RAW_BODY_BYTES_MAX;
    if !(is_complete || has_ended || is_enough) {
        return Ok(None);
    }
    let mut output = Output::default();
    output.push(head.status_line.as_bytes());
    if !body.is_empty() {
        output.push(b"\n\n");
        output.push(&body);
    }
    let is_healthy = (200..400).contains(&head.status);
    Ok(Some(Answer { is_healthy, output: output.into_text() }))
}

/// The head behind the interim answers, and what comes after it; `None` if it is not there yet.
fn final_head(bytes: &[u8]) -> Result<Option<(Head, &[u8])>, String> {
    const VERSION: &[u8] = b"HTTP/1.";
    let (mut heads, after) = bytes.split_at(bytes.len().min(HEAD_BYTES_MAX));
    loop {
        if !heads.starts_with(&VERSION[..VERSION.len().min(heads.len())]) {
            return Err("the answer is not HTTP".to_owned());
        }
        let Some(length) = end_of_head(heads) else { return Ok(None) };
        let (head, rest) = heads.split_at(length);
        let head = Head::parse(head)?;
        if !head.is_interim() {
            return Ok(Some((head, &bytes[bytes.len() - after.len() - rest.len()..])));
        }
        heads = rest;
    }
}

/// Bytes up to the end of the empty line behind the head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

struct Head {
    status_line: String,
    status: u16,
    length: Option<usize>,
    is_chunked: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let status_line = lines.next().unwrap_or_default().trim_end().to_owned();
        let number = status_line.split(' ').nth(1).and_then(|number| number.parse().ok());
        let Some(status) = number.filter(|status| (100..600).contains(status)) else {
            return Err(format!("the answer has no status: {status_line}"));
        };
        let mut head = Self { status_line, status, length: None, is_chunked: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = value.trim().to_ascii_lowercase().ends_with("chunked");
            }
        }
        Ok(head)
    }

    /// Whether the real answer is still to come. After 101 there is none.
    fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// What has come of the body, and whether that is all of it.
    fn body(&self, bytes: &[u8]) -> (Vec<u8>, bool) {
        if matches!(self.status, 101 | 204 | 304) {
            return (Vec::new(), true);
        }
        if self.is_chunked {
            return join_chunks(bytes);
        }
        match self.length {
            Some(length) => (bytes[..bytes.len().min(length)].to_vec(), bytes.len() >= length),
            None => (bytes.to_vec(), false),
        }
    }
}

/// Takes a body out of its chunks (RFC 9112, section 7.1). What is no chunk ends it.
fn join_chunks(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let line = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { return (body, true) };
        bytes = &bytes[at + 2..];
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&bytes[..bytes.len().min(size)]);
        match bytes.get(size.saturating_add(2)..) {
            Some(rest) => bytes = rest,
            None => return (body, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_healthy: bool, output: &str) {
        // Whatever the pieces it comes in, it is understood once, and not too early.
        let bytes = text.as_bytes();
        let whole = read_answer(bytes, true).unwrap();
        assert_eq!(whole, Some(Answer { is_healthy, output: output.to_owned() }), "{text:?}");
        for length in 0..bytes.len() {
            if let Some(early) = read_answer(&bytes[..length], false).unwrap() {
                assert_eq!(Some(early), whole, "{length} bytes of {text:?}");
            }
        }
    }

    #[test]
    fn statuses_from_200_to_399_are_healthy() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "HTTP/1.1 200 OK\n\nok");
        check("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", true, "HTTP/1.1 302 Found");
        check("HTTP/1.0 404 Not Found\r\n\r\nno", false, "HTTP/1.0 404 Not Found\n\nno");
        check("HTTP/1.1 503\r\n\r\n", false, "HTTP/1.1 503");
        check("HTTP/1.1 204 No Content\r\n\r\n", true, "HTTP/1.1 204 No Content");
    }

    #[test]
    fn a_body_is_taken_out_of_its_chunks() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"),
            true,
            "HTTP/1.1 200 OK\n\nabcde",
        );
    }

    #[test]
    fn an_interim_answer_is_not_the_answer() {
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            false,
            "HTTP/1.1 500 Oops",
        );
    }

    #[test]
    fn nobody_waits_for_the_end_of_a_long_body() {
        let text = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5000));
        let answer = read_answer(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(answer.output.len(), 4096 + 3);
    }

    /// Gives `start` and then `more` again and again, piece by piece, until there is an answer;
    /// says after how many bytes.
    fn read_endless(start: &str, more: &str) -> (usize, Result<Answer, String>) {
        let mut bytes = start.as_bytes().to_vec();
        loop {
            match read_answer(&bytes, false).transpose() {
                Some(answer) => return (bytes.len(), answer),
                None => bytes.extend_from_slice(more.as_bytes()),
            }
            assert!(bytes.len() < 1 << 20, "waits for more after {} bytes", bytes.len());
        }
    }

    #[test]
    fn an_endless_answer_is_given_up() {
        let interim = "HTTP/1.1 100 C\r\n\r\n".repeat(100);
        let (length, answer) = read_endless("", &interim);
        assert!(answer.unwrap_err().contains("longer than 16384 bytes"));
        assert!(length < 20_000, "{length}");
        // However many come at once: nothing here grows with their number.
        let answer = read_answer("HTTP/1.1 100 C\r\n\r\n".repeat(100_000).as_bytes(), true);
        assert!(answer.unwrap_err().contains("longer than 16384 bytes"));
    }

    #[test]
    fn of_an_endless_body_the_status_counts() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let extension = "x".repeat(1000);
        let (length, answer) = read_endless(&format!("{chunked}2\r\nab\r\n1;"), &extension);
        let expected = Answer { is_healthy: true, output: "HTTP/1.1 200 OK\n\nab".to_owned() };
        assert_eq!(answer, Ok(expected));
        assert!(length < 20_000, "{length}");
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (bytes, has_ended, reason) in [
            ("SSH-2.0-OpenSSH\r\n", false, "the answer is not HTTP"),
            ("HTTP/1.1 2", true, "the connection ended before there was an answer"),
            ("", true, "the connection ended before there was an answer"),
            ("HTTP/1.1 OK\r\n\r\n", false, "the answer has no status: HTTP/1.1 OK"),
            (&format!("HTTP/1.1 200 {}", "x".repeat(20_000)), false, "longer than 16384 bytes"),
        ] {
            let error = read_answer(bytes.as_bytes(), has_ended).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(
            start in "(HTTP/1\\.1 200 OK\r\n)?(Transfer-Encoding: chunked\r\n)?(\r\n)?",
            garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let bytes = [start.as_bytes(), &garbage].concat();
            let _ = read_answer(&bytes, false);
            let _ = read_answer(&bytes, true);
        }
    }
}
