//! Real sockets on the loopback interface.

use std::sync::Arc;
use std::time::Duration;

use super::server::Door as _;
use super::stream::Streams;
use super::*;
use crate::event::{Event, Stamped};
use crate::flat::{Layout, Order};
use crate::ids::{PacketNumber, SessionId};
use crate::mlt::Scheme;
use crate::ps::batch::Batches;
use crate::ps::calendar::{Calendar, Length};
use crate::ps::config::ServerConfig;
use crate::ps::missing::Missing;
use crate::ps::optimizer::{ScheduleConfig, ScheduleKind, SgdConfig};
use crate::ps::policy::PolicyConfig;
use crate::ps::server::{Outcome, ServerCore};
use crate::ps::worker::{End, Setup};
use crate::train::{Prepared, Processor, Synthetic};
use crate::transport::Transport;
use crate::units::{Instant, Tolerance};
use crate::wire::{Carrier, Header, Hello, Message, Reject};

struct Count {
    repaired: u32,
    rounds: u32,
}

impl Watch for Count {
    type Error = NetError;

    fn see(&mut self, stamped: &Stamped, _: &ServerCore) -> Result<(), NetError> {
        match &stamped.event {
            Event::PushClosed(closed) => self.repaired += closed.repaired,
            Event::RoundEnded(_) => self.rounds += 1,
            _ => {}
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

fn layout() -> Arc<Layout> {
    Arc::new(Layout::new([("synthetic".into(), vec![50_000])]).unwrap())
}

fn processor(layout: &Arc<Layout>) -> Processor {
    let setup = Setup {
        layout: layout.clone(),
        engine: String::new(),
        feedback: true,
        pull_codec: crate::codec::Codec::Raw,
        order: Order::Rotated,
        seed: 1,
        slots: 1,
        batch: 1,
        train_len: 100,
        test_len: 0,
    };
    Processor::new(Box::new(move |_| {
        Ok(Prepared { setup: setup.clone(), compute: Box::new(Synthetic) })
    }))
}

fn server(layout: &Arc<Layout>, capacity: u16, transport: &Transport) -> ServerCore {
    let config = ServerConfig {
        plan: "synthetic".into(),
        calendar: Calendar { train_len: 100, workers: 3, length: Length::Rounds(20) },
        batches: Batches::uniform(1),
        test_len: 0,
        slots: 1,
        eval_every: 0,
        missing: Missing::Feedback,
        codec: crate::codec::Codec::Raw,
        critical_codec: crate::codec::Codec::Raw,
        flushes: false,
        pull_codec: crate::codec::Codec::Raw,
        pull_tolerance: Tolerance::ZERO,
        scheme: Scheme::Bounded,
        streamed: transport.is_streamed(),
        carrier: if transport.is_tcp() { Carrier::Stream } else { Carrier::Datagrams },
        policy: PolicyConfig::Static { tolerance: Tolerance::ZERO },
        signal: false,
        window: None,
        sgd: SgdConfig { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        schedule: ScheduleConfig { lr: 0.1, kind: ScheduleKind::Constant },
        worker_timeout: Duration::from_secs(5),
        compute_timeout: Duration::from_secs(60),
    };
    let values = layout.values();
    ServerCore::new(config, layout.clone(), vec![0.0; values], capacity, 1, Instant::ZERO)
}

/// Twenty rounds of three workers, under the conditions `net`; the final parameters as bits.
fn run(transport: &'static str, net: &'static str) -> (Vec<u32>, Count) {
    let (layout, transport) = (layout(), transport.parse::<Transport>().unwrap());
    let listening = Listening::bind(([127, 0, 0, 1], 0).into(), &transport).unwrap();
    let address = listening.address().to_string();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (address, processor) = (address.clone(), processor(&layout));
            let conditions = move |_: &str| Some(Conditions { net: net.parse().unwrap(), seed: 1 });
            let transport = transport.clone();
            std::thread::spawn(move || {
                let mut stop = Stop::listen().unwrap();
                let wait = Duration::from_secs(10);
                let tell = |_| ();
                work(&address, &transport, processor, &conditions, wait, &mut stop, tell).unwrap()
            })
        })
        .collect();
    let mut core = server(&layout, listening.capacity(), &transport);
    let mut watch = Count { repaired: 0, rounds: 0 };
    let mut stop = Stop::listen().unwrap();
    let outcome = listening.serve(&mut core, Clock::start(), &mut stop, &mut watch).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    for worker in workers {
        assert_eq!(worker.join().unwrap(), End::Finished);
    }
    assert_eq!(core.rejects().total() > 0, net.contains("loss"), "{:?}", core.rejects());
    (core.parameters().iter().map(|x| x.to_bits()).collect(), watch)
}

#[test]
fn loss_changes_nothing_at_tolerance_zero() {
    let (calm, watch) = run("bounded", "");
    assert_eq!(watch.rounds, 20);
    let (lossy, watch) = run("bounded", "loss=10% dup=2% reorder=2% corrupt=1%");
    assert!(watch.repaired > 0);
    assert_eq!(calm, lossy);
}

#[test]
fn streams_carry_the_same_run() {
    let (datagrams, _) = run("bounded", "");
    for transport in ["tcp", "tcp:reno", "tcp-streamed"] {
        let (stream, watch) = run(transport, "");
        assert_eq!((watch.rounds, watch.repaired), (20, 0));
        assert_eq!(datagrams, stream, "{transport}");
    }
}

#[test]
fn a_server_whose_workers_have_gone_ends_at_once() {
    let layout = layout();
    let mut streams = Streams::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
    let mut core = server(&layout, 1, &"tcp".parse().unwrap());
    let clock = Clock::start();
    let peer = std::net::TcpStream::connect(streams.local_address().unwrap()).unwrap();
    streams.receive(&mut core, clock).unwrap();
    drop(peer);
    smol::block_on(async {
        streams.ready().await.unwrap();
        let mut buf = Vec::new();
        let finish = streams.finish(&mut core, clock, &mut buf);
        assert!(smol::future::poll_once(finish).await.is_some(), "nobody is left to be waited for");
    });
}

#[test]
fn a_connection_belongs_to_one_worker() {
    let layout = layout();
    let mut core = server(&layout, 1, &"tcp".parse().unwrap());
    let greet = |core: &mut ServerCore, from: &str, session: u64| {
        let (from, mut buf, mut cookie) = (from.parse().unwrap(), Vec::new(), 0);
        let header = Header { session: SessionId(session), number: PacketNumber(0) };
        for _ in 0..2 {
            Message::Hello(Hello { cookie }).write(Carrier::Stream, header, &mut buf);
            core.handle_frame(Instant::ZERO, Instant::ZERO, from, &buf)?;
            assert_eq!(core.poll_transmit(Instant::ZERO, &mut buf), Some(from));
            let (_, body) = Carrier::Stream.open(&buf).unwrap();
            let Ok(Message::Welcome(welcome)) = Message::parse(body) else { panic!() };
            cookie = welcome.cookie;
        }
        Ok(())
    };
    assert_eq!(greet(&mut core, "10.0.0.1:5", 1), Ok(()));
    assert_eq!(greet(&mut core, "10.0.0.1:5", 1), Ok(()), "it may ask again");
    assert_eq!(greet(&mut core, "10.0.0.1:5", 2), Err(Reject::Limit));
    assert_eq!(greet(&mut core, "10.0.0.2:5", 2), Ok(()));
}

#[test]
fn a_taken_port_and_an_unknown_name_are_said() {
    let first = Listening::bind(([127, 0, 0, 1], 0).into(), &Transport::Bounded).unwrap();
    let taken = Listening::bind(first.address(), &Transport::Bounded).err().unwrap().to_string();
    assert!(taken.contains("the port is taken"), "{taken}");
    let processor = processor(&layout());
    let mut stop = Stop::listen().unwrap();
    let (host, wait) = ("no.such.host.invalid:1", Duration::ZERO);
    let transport = Transport::Bounded;
    let unknown = work(host, &transport, processor, &|_| None, wait, &mut stop, |_| ());
    assert!(matches!(unknown, Err(NetError::Resolve { .. })));
}
