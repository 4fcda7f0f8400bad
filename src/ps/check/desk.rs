//! Where a server counts and answers probes.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::{CHECK_TIME, CHECKS_MAX, ECHOES_MAX, PROBES_MAX};
use crate::ids::{PacketNumber, SessionId};
use crate::units::Instant;
use crate::wire::{Carrier, Echo, Header, Message, PROBE_GROUPS, PROBE_MIN, Probe, Reject, Taken};

/// Probes whose answers wait to be sent; what does not fit is not answered.
const WAITING_MAX: usize = 256;

/// Probes of one group.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    received: u32,
    echoes: u32,
    first_at: Instant,
    last_at: Instant,
}

/// One check and what it has cost.
#[derive(Debug)]
struct Check {
    began: Instant,
    /// Bit `n`: probe `n` was seen.
    seen: [u64; PROBES_MAX as usize / 64],
    groups: [Tally; PROBE_GROUPS as usize],
    /// Answers sent or promised.
    echoes: u32,
}

/// A probe that is being answered.
#[derive(Debug)]
struct Waiting {
    to: SocketAddr,
    session: SessionId,
    number: PacketNumber,
    taken: Taken,
    cookie: u64,
    group: u8,
    about: u8,
    size: u16,
    copies: u8,
    copy: u8,
}

/// See the [module](super).
#[derive(Debug, Default)]
pub(in crate::ps) struct Desk {
    checks: BTreeMap<SessionId, Check>,
    waiting: VecDeque<Waiting>,
}

impl Desk {
    /// Takes in a probe that came `from` there; `cookie` is what proves that address.
    pub(in crate::ps) fn handle_probe(
        &mut self,
        now: Instant,
        from: SocketAddr,
        header: Header,
        probe: Probe,
        cookie: u64,
    ) -> Result<(), Reject> {
        let answer = |taken, size, copies| Waiting {
            to: from,
            session: header.session,
            number: header.number,
            taken,
            cookie,
            group: probe.group,
            about: probe.about,
            size,
            copies,
            copy: 0,
        };
        if probe.cookie != cookie {
            self.wait(answer(Taken::Unproven, PROBE_MIN, 1))?;
            return if probe.cookie == 0 { Ok(()) } else { Err(Reject::Cookie) };
        }
        if !self.admits(now, header.session) {
            self.wait(answer(Taken::Busy, PROBE_MIN, 1))?;
            return Err(Reject::Limit);
        }
        let check = self.checks.entry(header.session).or_insert_with(|| Check::new(now));
        check.count(now, header.number, &probe)?;
        self.wait(answer(Taken::Counted, probe.reply, probe.copies))
    }

    /// Whether there is a place for this check, or will be when those that are over have left theirs.
    fn admits(&mut self, now: Instant, session: SessionId) -> bool {
        self.checks.retain(|_, check| now - check.began < CHECK_TIME);
        self.checks.len() < CHECKS_MAX || self.checks.contains_key(&session)
    }

    fn wait(&mut self, waiting: Waiting) -> Result<(), Reject> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(Reject::Limit);
        }
        self.waiting.extend((waiting.copies > 0).then_some(waiting));
        Ok(())
    }

    /// Writes the next answer into `buf` and tells where it goes.
    pub(in crate::ps) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<SocketAddr> {
        let waiting = self.waiting.front_mut()?;
        let mut echo = Echo {
            cookie: waiting.cookie,
            number: waiting.number,
            taken: waiting.taken,
            copy: waiting.copy,
            received: 0,
            echoes: 0,
            span_ns: 0,
            size: waiting.size,
        };
        let check = self.checks.get_mut(&waiting.session);
        if let Some(check) = check.filter(|_| waiting.taken == Taken::Counted) {
            check.groups[usize::from(waiting.group)].echoes += 1;
            let tally = &check.groups[usize::from(waiting.about)];
            echo.received = tally.received;
            echo.echoes = tally.echoes;
            echo.span_ns = (tally.last_at - tally.first_at).as_nanos() as u64;
        }
        let header = Header { session: waiting.session, number: PacketNumber(0) };
        Message::Echo(echo).write(Carrier::Datagrams, header, buf);
        let to = waiting.to;
        waiting.copy += 1;
        if waiting.copy >= waiting.copies {
            self.waiting.pop_front();
        }
        Some(to)
    }
}

impl Check {
    const fn new(now: Instant) -> Self {
        let nothing = Tally { received: 0, echoes: 0, first_at: now, last_at: now };
        let groups = [nothing; PROBE_GROUPS as usize];
        Self { began: now, seen: [0; PROBES_MAX as usize / 64], groups, echoes: 0 }
    }

    /// Counts a probe, once, if it is within the limits of a check.
    fn count(&mut self, now: Instant, number: PacketNumber, probe: &Probe) -> Result<(), Reject> {
        let index = number.0.checked_sub(1).filter(|&index| index < PROBES_MAX);
        let index = index.ok_or(Reject::Limit)? as usize;
        let (word, bit) = (&mut self.seen[index / 64], 1 << (index % 64));
        if *word & bit != 0 {
            return Err(Reject::Replayed);
        }
        if self.echoes + u32::from(probe.copies) > ECHOES_MAX {
            return Err(Reject::Limit);
        }
        *word |= bit;
        self.echoes += u32::from(probe.copies);
        let tally = &mut self.groups[usize::from(probe.group)];
        if tally.received == 0 {
            tally.first_at = now;
        }
        tally.received += 1;
        tally.last_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand_chacha::rand_core::RngCore;

    use super::*;
    use crate::rng;
    use crate::wire::{DATAGRAM_MAX, ECHO_COPIES_MAX};

    const COOKIE: u64 = 77;

    fn probe(copies: u8) -> Probe {
        Probe { cookie: COOKIE, group: 1, about: 1, copies, reply: DATAGRAM_MAX as u16, size: 100 }
    }

    fn ask(
        desk: &mut Desk,
        at_ms: u64,
        session: u64,
        number: u64,
        probe: Probe,
    ) -> Result<(), Reject> {
        let from = "10.0.0.1:5".parse().unwrap();
        let header = Header { session: SessionId(session), number: PacketNumber(number) };
        let now = Instant::ZERO + Duration::from_millis(at_ms);
        desk.handle_probe(now, from, header, probe, COOKIE)
    }

    fn echoes(desk: &mut Desk) -> Vec<Echo> {
        let (mut buf, mut echoes) = (Vec::new(), Vec::new());
        while desk.poll_transmit(&mut buf).is_some() {
            let (_, body) = Carrier::Datagrams.open(&buf).unwrap();
            let Ok(Message::Echo(echo)) = Message::parse(body) else { panic!() };
            assert_eq!(buf.len(), usize::from(echo.size));
            echoes.push(echo);
        }
        echoes
    }

    #[test]
    fn strangers_get_a_cookie_and_nothing_larger_than_they_sent() {
        let mut desk = Desk::default();
        let small = Probe { cookie: 0, size: PROBE_MIN, ..probe(32) };
        assert_eq!(ask(&mut desk, 0, 1, 1, small), Ok(()));
        let forged = Probe { cookie: 76, ..small };
        assert_eq!(ask(&mut desk, 0, 1, 2, forged), Err(Reject::Cookie));
        let answers = echoes(&mut desk);
        let plain = |echo: &Echo| (echo.taken, echo.cookie, echo.size);
        assert_eq!(
            answers.iter().map(plain).collect::<Vec<_>>(),
            [(Taken::Unproven, COOKIE, PROBE_MIN); 2]
        );
        assert!(desk.checks.is_empty());
    }

    #[test]
    fn groups_are_counted_apart_and_copies_once() {
        let mut desk = Desk::default();
        for number in 1..=4 {
            let group = (number % 2) as u8;
            let asked = Probe { group, about: group, ..probe(2) };
            assert_eq!(ask(&mut desk, 10 * number, 1, number, asked), Ok(()));
            assert_eq!(ask(&mut desk, 10 * number, 1, number, asked), Err(Reject::Replayed));
        }
        let last = echoes(&mut desk).pop().unwrap();
        assert_eq!((last.number.0, last.copy, last.received, last.echoes), (4, 1, 2, 4));
        assert_eq!(last.span_ns, 20_000_000);
    }

    #[test]
    fn a_check_and_all_checks_have_limits() {
        let mut desk = Desk::default();
        let mut answers = 0;
        for number in 1..=PROBES_MAX + 5 {
            let taken = ask(&mut desk, 0, 1, number, probe(ECHO_COPIES_MAX));
            assert!(matches!(taken, Ok(()) | Err(Reject::Limit)));
            answers += echoes(&mut desk).len();
        }
        assert_eq!(answers, ECHOES_MAX as usize);
        assert_eq!(ask(&mut desk, 0, 1, u64::MAX, probe(0)), Err(Reject::Limit));
        assert_eq!(ask(&mut desk, 0, 1, 0, probe(0)), Err(Reject::Limit));
        for session in 2..=CHECKS_MAX as u64 {
            assert_eq!(ask(&mut desk, 0, session, 1, probe(1)), Ok(()));
        }
        echoes(&mut desk);
        assert_eq!(ask(&mut desk, 9_999, 99, 1, probe(1)), Err(Reject::Limit));
        assert_eq!(echoes(&mut desk)[0].taken, Taken::Busy);
        assert_eq!(ask(&mut desk, 10_000, 99, 1, probe(1)), Ok(()));
        assert_eq!(desk.checks.len(), 1, "those before are over");
    }

    #[test]
    fn nothing_that_may_be_sent_is_kept_without_bound() {
        for seed in 0..50 {
            let mut rng = rng::stream(seed, "desk", 0);
            let (mut desk, mut sent) = (Desk::default(), 0);
            for step in 0..5000 {
                let bits = rng.next_u64();
                let asked = Probe {
                    cookie: if bits.is_multiple_of(8) { 0 } else { COOKIE },
                    group: (bits >> 8 & 15) as u8,
                    about: (bits >> 16 & 15) as u8,
                    ..probe((bits >> 24 & 31) as u8)
                };
                let _ = ask(&mut desk, step, bits >> 32 & 15, bits >> 40 & 2047, asked);
                if seed % 2 == 0 {
                    sent += echoes(&mut desk).len();
                }
            }
            assert!(desk.waiting.len() <= WAITING_MAX && desk.checks.len() <= CHECKS_MAX);
            assert!(sent <= 5000 + CHECKS_MAX * ECHOES_MAX as usize, "{sent}");
        }
    }
}
