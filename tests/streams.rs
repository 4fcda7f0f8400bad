//! Runs over TCP as people start them: the same results as over UDP, and what becomes of strangers and of the lost.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

mod common;
#[path = "common/process.rs"]
mod process;

use common::{Scratch, said};
use process::{Process, await_line, await_one, replace_a_worker, server};

#[test]
fn every_reliable_transport_ends_in_the_same_parameters() {
    let scratch = Scratch::new("transports");
    let quick = "train --model fc --epochs 2 --batch 32 --workers 3 --seed 5 --json";
    let bounded = scratch.json(quick);
    for transport in ["reliable", "tcp", "tcp:reno", "tcp-streamed:reno"] {
        let name = transport.replace(':', "-");
        let flags = format!("--transport {transport} --tolerance 10% --name {name}");
        let other = scratch.json(&format!("{quick} {flags}"));
        assert_eq!(other["digest"], bounded["digest"], "{transport}");
        assert_eq!(other["accuracy"], bounded["accuracy"], "{transport}");
        assert_ne!(other["plan"], bounded["plan"], "{transport}");
        assert_eq!(other["transport"], transport);
        assert_eq!(other["forgiven"], 0);
        let plan = std::fs::read_to_string(scratch.join(format!("runs/{name}/plan.toml"))).unwrap();
        assert!(plan.contains(&format!("transport = \"{transport}\"")), "{plan}");
    }
    let output = scratch.run("train --model fc --rounds 2 --transport tcp:reno");
    assert!(output.status.success());
    assert!(said(&output).contains("transport tcp:reno: push, barrier, pull"), "{}", said(&output));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("transport tcp:reno (push, barrier, pull"), "{out}");
}

#[test]
fn a_killed_worker_is_gone_at_once_and_a_new_one_may_join() {
    let scratch = Scratch::new("tcp-kill");
    let flags = "--transport tcp --model fc --rounds 10000000 --worker-timeout 60s";
    replace_a_worker(&scratch, flags, "--transport tcp", "its connection");
}

#[test]
fn workers_find_a_server_that_was_killed_and_started_again() {
    let scratch = Scratch::new("tcp-again");
    let flags = "--transport tcp --model fc --workers 1";
    let (first, address) = server(&scratch, &format!("{flags} --rounds 10000000 --name first"));
    let worker = Process::start(scratch.command(&format!("worker {address} --transport tcp")));
    let ended = |line: &str| line.contains("\"round-ended\"");
    await_line(&scratch.join("runs/first/events.jsonl"), ended);
    first.signal("-KILL");
    drop(first);
    let again = format!("server --bind {address} {flags} --rounds 20 --name second");
    let (code, _, err) = Process::start(scratch.command(&again)).end();
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = worker.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("the connection ") && err.contains("looking for it again"), "{err}");
}

/// Whether the peer closes the connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn strangers_are_shown_the_door_and_change_nothing() {
    let scratch = Scratch::new("tcp-strangers");
    let (server, address) =
        server(&scratch, "--transport tcp --model fc --rounds 20 --workers 2 --seed 5 --name run");
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let frame = |len: u32, text: &[u8]| [&len.to_le_bytes()[..], text].concat();
    let hostile = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        frame(0, b""),
        frame(u32::MAX, b"M\x01"),
        frame(32_765, b"M\x01"),
        frame(3, b"M\x01x"),
        frame(18, b"X-----------------"),
        frame(20, b"M\x01--------aaaaaaaa\x63\0"),
        vec![0x4d; 1 << 20],
    ];
    for bytes in hostile {
        let mut stream = TcpStream::connect(&address).unwrap();
        // It may be closed before all of it is written.
        let _ = stream.write_all(&bytes);
        assert!(is_closed(&stream), "{:?}", &bytes[..bytes.len().min(30)]);
    }
    // A frame that never ends, a byte now and then.
    let slow = TcpStream::connect(&address).unwrap();
    (&slow).write_all(&frame(1392, b"M\x01")).unwrap();
    await_one(|| (&slow).write_all(b"x").is_err().then_some(()));
    assert!(silent.iter().all(is_closed));
    let worker = || Process::start(scratch.command(&format!("worker {address} --transport tcp")));
    let (first, second) = (worker(), worker());
    let (code, out, err) = server.end();
    assert_eq!(code, Some(0), "{err}");
    let rejects = out.lines().find_map(|line| line.strip_prefix("rejects ")).unwrap().trim();
    for reject in ["6 length", "1 foreign", "1 kind", "51 session"] {
        assert!(rejects.split(", ").any(|said| said == reject), "{reject}: {rejects}");
    }
    for worker in [first, second] {
        let (code, _, err) = worker.end();
        assert_eq!(code, Some(0), "{err}");
    }
    let alone = scratch.json("train --model fc --rounds 20 --workers 2 --seed 5 --json");
    let digest = format!("digest    {}", alone["digest"].as_str().unwrap());
    assert!(out.lines().any(|line| line == digest), "{out}");
}

#[test]
fn a_worker_at_the_wrong_door_is_told() {
    let scratch = Scratch::new("tcp-doors");
    let (tcp, address) = server(&scratch, "--transport tcp-streamed:reno --workers 1");
    let output = scratch.run(&format!("worker {address} --give-up 20s"));
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("add --transport tcp"), "{}", said(&output));
    let output = scratch.run(&format!("check {address}"));
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("speaks TCP, which is not checked"), "{}", said(&output));
    drop(tcp);
    let (_udp, address) = server(&scratch, "--workers 1");
    let output = scratch.run(&format!("worker {address} --transport tcp --give-up 3s"));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("refused"), "{}", said(&output));
    assert!(
        said(&output).contains("with --transport tcp, and is its TCP port open?"),
        "{}",
        said(&output)
    );
}

#[test]
fn what_tcp_cannot_do_is_said_first() {
    let scratch = Scratch::new("tcp-bad");
    std::fs::write(scratch.join("sim.toml"), "mode = 'sim'\ntransport = ['bounded', 'tcp']")
        .unwrap();
    let cases = [
        ("train --transport tcp:nothing", "this system offers"),
        ("worker 127.0.0.1:1 --transport tcp:nothing", "this system offers"),
        ("train --transport udp", "choose one of bounded, reliable"),
        ("worker 127.0.0.1:1 --transport udp", "choose one of bounded, reliable"),
        ("train --transport bounded:cubic", "a congestion control of its own"),
        ("train --transport tcp --net loss=5%", "exclude each other"),
        ("sim --transport tcp", "a simulation has no kernel"),
        ("experiment sim.toml", "a simulation has no kernel"),
    ];
    for (line, why) in cases {
        let output = scratch.run(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
        assert!(said(&output).contains(why), "{line}: {}", said(&output));
    }
}
