//! Sessions that are no workers: what greets, and then does not what it should.

use super::*;
use crate::wire::{Bye, ByeCode, Carrier, Header, Hello, Message};

/// Somebody who has greeted properly, and does what a test says from then on.
struct Stranger {
    session: SessionId,
    address: SocketAddr,
    number: u64,
}

impl Stranger {
    fn greet(world: &mut World) -> Self {
        let address = "192.0.2.1:99".parse().unwrap();
        let mut stranger = Self { session: SessionId(99), address, number: 0 };
        let mut cookie = 0;
        for _ in 0..2 {
            stranger.say(world, &Message::Hello(Hello { cookie }));
            let mut buf = Vec::new();
            while let Some(to) = world.server.poll_transmit(world.now, &mut buf) {
                let opened = Carrier::Datagrams.open(&buf).unwrap();
                if let (true, Ok(Message::Welcome(welcome))) =
                    (to == address, Message::parse(opened.1))
                {
                    cookie = welcome.cookie;
                }
            }
        }
        stranger
    }

    fn say(&mut self, world: &mut World, message: &Message<'_>) {
        self.number += 1;
        let header = Header { session: self.session, number: PacketNumber(self.number) };
        let mut datagram = Vec::new();
        message.write(Carrier::Datagrams, header, &mut datagram);
        world.server.handle_datagram(world.now, world.now, self.address, &datagram);
    }
}

#[test]
fn one_that_asks_and_never_answers_does_not_hold_the_port() {
    let rounds = 1_000_000;
    let mut world = Case { rounds, values: 2000, ..Case::default() }.world();
    world.run(Duration::from_millis(100), |_, _| true);
    let mut stranger = Stranger::greet(&mut world);
    let mut trained = Vec::new();
    for slice in 0..1000 {
        world.run(Duration::from_millis(100 + 40 * slice), |_, _| true);
        stranger.say(&mut world, &Message::Ping(true));
        if slice % 250 == 0 {
            trained.push(world.server().trained());
        }
    }
    assert_eq!(world.server().outcome(), None);
    let speeds: Vec<_> = trained.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(speeds.iter().all(|&speed| speed * 2 > speeds[0]), "rounds in 10 s each: {speeds:?}");
}

#[test]
fn one_that_takes_no_part_cannot_say_that_training_diverged() {
    let mut world = Case { workers: 2, ..Case::default() }.world();
    let mut stranger = Stranger::greet(&mut world);
    stranger.say(&mut world, &Message::Bye(Bye::new(ByeCode::NonFinite, "it is over")));
    assert_eq!(world.server().outcome(), None);
    assert_eq!(world.run(Duration::from_secs(60), |_, _| true), Some(Outcome::Finished));
}

#[test]
fn a_stray_datagram_without_a_return_address_is_not_answered() {
    let mut world = Case::default().world();
    let mut buf = Vec::new();
    world.run(Duration::ZERO, |_, _| true);
    while world.server.poll_transmit(world.now, &mut buf).is_some() {}
    let ping = Message::Ping(false);
    let header = Header { session: SessionId(9), number: PacketNumber(1) };
    ping.write(Carrier::Datagrams, header, &mut buf);
    let ping = buf.clone();
    world.server.handle_datagram(world.now, world.now, "10.9.9.9:0".parse().unwrap(), &ping);
    assert_eq!(world.server.poll_transmit(world.now, &mut buf), None);
    world.server.handle_datagram(world.now, world.now, "10.9.9.9:7".parse().unwrap(), &ping);
    assert!(world.server.poll_transmit(world.now, &mut buf).is_some());
    assert!(buf.len() <= ping.len(), "no answer is larger than its question");
}
