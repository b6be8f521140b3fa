//! The client against a server that answers from a script.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::{Client, Endpoint, Request, escape};

/// Answers each request on one connection with the next text, then closes it.
fn serve(answers: &'static [&'static str]) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        for answer in answers {
            if stream.read(&mut buffer).unwrap() == 0 {
                return;
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    Client::new(Endpoint::parse(&format!("tcp://{address}")).unwrap(), "test")
}

#[test]
fn a_connection_serves_several_requests() {
    let client = serve(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nlast",
    ]);
    for expected in ["one", "two", "", "last"] {
        // One accept, so a second connection would never be answered.
        let bytes = client.send(Request::get("/x")).unwrap().bytes().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}

#[test]
fn a_refusal_is_told_in_dockers_words() {
    let client = serve(&[
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 51\r\n\r\n\
         {\"message\":\"No such container: x\",\"hint\":\"look up\"}",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ]);
    let error = client.run(Request::get("/x")).unwrap_err();
    assert_eq!(error.to_string(), "Error response from daemon: No such container: x");
    assert_eq!((error.status(), error.hint()), (Some(404), Some("look up")));
}

#[test]
fn a_cut_answer_is_an_error() {
    let client = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nonly this"]);
    assert!(client.send(Request::get("/x")).unwrap().bytes().is_err());
}

#[test]
fn a_hijacked_stream_begins_with_what_came_early() {
    let client = serve(&[
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly",
        "late",
    ]);
    let pending = client.begin_hijack(Request::post("/attach")).unwrap();
    let (mut reader, mut writer) = pending.finish_hijack().unwrap().split().unwrap();
    writer.write_all(b"hello").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "earlylate");
}

#[test]
fn nobody_there_is_told_in_dockers_words() {
    let client = Client::new(Endpoint::parse("unix:///nonexistent/socket").unwrap(), "test");
    assert_eq!(
        client.run(Request::get("/x")).unwrap_err().to_string(),
        "Cannot connect to the Docker daemon at unix:///nonexistent/socket. \
         Is the docker daemon running?"
    );
}

#[test]
fn addresses_have_defaults() {
    for (text, expected) in [
        ("unix://", "unix:///var/run/docker.sock"),
        ("unix:///a/b", "unix:///a/b"),
        ("tcp://", "tcp://localhost:2375"),
        ("host", "tcp://host:2375"),
        ("tcp://[::1]:80/base/", "tcp://[::1]:80/base"),
    ] {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), expected, "{text}");
    }
    assert_eq!(
        Endpoint::parse("foo://x").unwrap_err().to_string(),
        "invalid bind address format: foo://x"
    );
}

#[test]
fn parameters_are_escaped() {
    let request = Request::get("/x").query("filters", "{\"a\":1}").query_set("all", true);
    assert_eq!(request.target(), "/x?filters=%7B%22a%22%3A1%7D&all=1");
    assert_eq!(escape("a/b c"), "a%2Fb%20c");
}
