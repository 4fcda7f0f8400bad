//! One connection over the loopback interface, and whatever may come over it.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use smol::Async;

use super::connection::{Connection, Lost, Scratch};
use crate::wire::{FRAME_MAX, PREFIX, Reject};

/// A connection, and its peer, who is read and written by the test.
fn pair() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    let ours = listener.accept().unwrap().0;
    (Connection::new(Async::new(ours).unwrap()).unwrap(), peer)
}

fn frame(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text].concat()
}

/// Receives until there are `count` frames, or the connection is lost.
fn receive(connection: &mut Connection, count: usize) -> Result<Vec<Vec<u8>>, Lost> {
    let (mut scratch, mut frames) = (Scratch::default(), Vec::new());
    while frames.len() < count {
        connection.touch();
        connection.receive(&mut scratch, |frame| {
            frames.push(frame.to_vec());
            Ok(())
        })?;
    }
    Ok(frames)
}

#[test]
fn frames_come_whole_however_they_are_cut() {
    let (mut connection, mut peer) = pair();
    let large = frame(&vec![7; FRAME_MAX - PREFIX]);
    let frames = [frame(b"a"), large.clone(), frame(b"bc"), large, frame(&[0; 100])];
    let bytes = frames.concat();
    let writer = std::thread::spawn(move || {
        for piece in [1, 2, 3, 700, 30_000, 90_000] {
            bytes.chunks(piece).for_each(|piece| peer.write_all(piece).unwrap());
        }
        peer
    });
    let got = receive(&mut connection, 6 * 5).unwrap();
    assert!(got.chunks(5).all(|got| got == frames) && got.len() == 6 * 5);
    drop(writer.join().unwrap());
    assert!(matches!(receive(&mut connection, 1), Err(Lost::Ended)));
}

#[test]
fn what_is_no_frame_ends_the_connection() {
    for length in [0, (FRAME_MAX - PREFIX + 1) as u32, u32::MAX] {
        let (mut connection, mut peer) = pair();
        peer.write_all(&frame(b"good")).unwrap();
        peer.write_all(&length.to_le_bytes()).unwrap();
        let lost = receive(&mut connection, 2).unwrap_err();
        assert!(matches!(lost, Lost::Foreign(Reject::Length)), "{}", lost.why());
    }
    let (mut connection, mut peer) = pair();
    peer.write_all(&frame(b"refused")).unwrap();
    let mut scratch = Scratch::default();
    let lost = loop {
        connection.touch();
        if let Err(lost) = connection.receive(&mut scratch, |_| Err(Reject::Kind)) {
            break lost;
        }
    };
    assert!(matches!(lost, Lost::Refused(Reject::Kind)), "{}", lost.why());
}

#[test]
fn what_is_sent_arrives_in_order_and_little_of_it_waits_here() {
    let (mut connection, peer) = pair();
    let text = |number: u32| vec![number as u8; if number.is_multiple_of(3) { 30_000 } else { 50 }];
    let mut sent = 0;
    while !connection.is_stalled() {
        connection.send(&frame(&text(sent))).unwrap();
        sent += 1;
    }
    // A word still finds room beside a transfer that waits, but not any number of them.
    connection.send(&frame(&text(sent))).unwrap();
    sent += 1;
    let (mut other, count) = (Connection::new(Async::new(peer).unwrap()).unwrap(), sent as usize);
    let reader =
        std::thread::spawn(move || receive(&mut other, count).map(|frames| (frames, other)));
    while connection.is_stalled() {
        connection.flush().unwrap();
    }
    connection.flush().unwrap();
    let (frames, _other) = reader.join().unwrap().unwrap();
    for (number, got) in (0..).zip(&frames) {
        assert!(*got == frame(&text(number)), "frame {number}");
    }
    let mut kept = 0;
    let lost = loop {
        match connection.send(&frame(&[1; 20_000])) {
            Ok(()) => kept += u32::from(connection.is_stalled()),
            Err(lost) => break lost,
        }
    };
    assert!(matches!(lost, Lost::Failed(_)) && kept < 15, "{kept} frames were kept");
}
