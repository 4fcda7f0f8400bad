//! `make bench`: how long rounds take, beside the rival's, measured in turns in one run; medians.
//!
//! `benches/codec` times codecs, `benches/train` training.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use mlt_lite::event::{Event, Stamped};
use mlt_lite::net::{Clock, Listening, NetError, Stop, Watch, work};
use mlt_lite::plan::{Entry, Plan};
use mlt_lite::ps::server::ServerCore;
use mlt_lite::report::{Cell, Column, Table};
use mlt_lite::run::{Job, WORDS, prepare};
use mlt_lite::train::Processor;
use mlt_lite::transport::Transport;
use mlt_lite::units::Instant;

/// Bytes of a whole push: resnet8 as raw f32.
const PUSH: usize = 826_920;
const WORKERS: usize = 3;
const ROUNDS: usize = 100;

/// One row: what, its figure, its unit, and its share of the limit or rival named.
struct Row {
    what: String,
    figure: f64,
    unit: &'static str,
    ratio: Option<(f64, &'static str)>,
}

fn main() {
    let rows = rounds();
    let column = |name: &str, cell: &dyn Fn(&Row) -> Cell| Column {
        name: name.to_owned(),
        cells: rows.iter().map(cell).collect(),
    };
    let table = Table {
        columns: vec![
            column("what", &|row| Cell::Text(row.what.clone())),
            column("median", &|row| Cell::of(&[row.figure], 2)),
            column("unit", &|row| Cell::Text(row.unit.to_owned())),
            column("ratio", &|row| {
                row.ratio.map_or(Cell::Empty, |(ratio, _)| Cell::of(&[ratio], 2))
            }),
            column("of", &|row| Cell::Text(row.ratio.map_or("", |(_, of)| of).to_owned())),
        ],
    };
    let _ = std::io::stdout().write_all(table.to_text().as_bytes());
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Collects how long rounds take, from the start of one to the start of the next.
struct Stopwatch {
    began: Option<Instant>,
    seconds: Vec<f64>,
}

impl Watch for Stopwatch {
    type Error = NetError;

    fn see(&mut self, stamped: &Stamped, _: &ServerCore) -> Result<(), NetError> {
        if let Event::RoundStarted(_) = stamped.event
            && let Some(began) = self.began.replace(stamped.at)
        {
            self.seconds.push((stamped.at - began).as_secs_f64());
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

fn rounds() -> Vec<Row> {
    let (mut ours, mut tcp) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        ours.extend(our_rounds());
        tcp.extend(tcp_rounds());
    }
    let (ours, tcp) = (median(ours), median(tcp));
    let row = |what: &str, seconds: f64, ratio| Row {
        what: format!("{what}: {WORKERS} workers, {PUSH} B each way, loopback"),
        figure: seconds * 1e3,
        unit: "ms a round",
        ratio,
    };
    let ratio = Some((ours / tcp, "TCP's time"));
    vec![row("push, average, step, pull", ours, ratio), row("TCP, push, barrier, pull", tcp, None)]
}

fn our_rounds() -> Vec<f64> {
    let entries = [("bytes", PUSH), ("rounds", ROUNDS), ("workers", WORKERS)]
        .map(|(key, value)| Entry::flag(key, &value.to_string()))
        .to_vec();
    let plan = Plan::from_entries(entries, &WORDS).expect("a valid plan");
    let job = Job::new(plan).expect("a synthetic load");
    let listening =
        Listening::bind(([127, 0, 0, 1], 0).into(), &Transport::Bounded).expect("a free port");
    let address = listening.address().to_string();
    for _ in 0..WORKERS {
        let address = address.clone();
        std::thread::spawn(move || {
            let processor = Processor::new(prepare(PathBuf::new(), NonZeroUsize::MIN));
            let mut stop = Stop::listen().expect("signals");
            let (transport, wait) = (Transport::Bounded, Duration::from_secs(9));
            work(&address, &transport, processor, &|_| None, wait, &mut stop, |_| ())
        });
    }
    let clock = Clock::start();
    let mut core = job.server(listening.capacity(), 1, clock.now());
    let mut watch = Stopwatch { began: None, seconds: Vec::new() };
    let mut stop = Stop::listen().expect("signals");
    listening.serve(&mut core, clock, &mut stop, &mut watch).expect("a run");
    watch.seconds
}

/// The rival as people write it: each worker pushes everything, the server sums up, waits for all, and sends the sum.
fn tcp_rounds() -> Vec<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    for _ in 0..WORKERS {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("the server");
            stream.set_nodelay(true).expect("an option");
            let mut buf = vec![1u8; PUSH];
            for _ in 0..ROUNDS {
                stream.write_all(&buf).expect("a push");
                stream.read_exact(&mut buf).expect("a pull");
            }
        });
    }
    let streams: Vec<TcpStream> =
        (0..WORKERS).map(|_| listener.accept().expect("a worker").0).collect();
    let (sender, pushed) = channel::<Vec<u8>>();
    let mut pulls = Vec::new();
    for mut stream in streams {
        stream.set_nodelay(true).expect("an option");
        let (sender, (pull, sums)) = (sender.clone(), channel::<Arc<Vec<u8>>>());
        pulls.push(pull);
        std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                let mut buf = vec![0u8; PUSH];
                stream.read_exact(&mut buf).expect("a push");
                sender.send(buf).expect("the barrier");
                stream.write_all(&sums.recv().expect("the sum")).expect("a pull");
            }
        });
    }
    let (clock, mut seconds) = (Clock::start(), Vec::new());
    for _ in 0..ROUNDS {
        let began = clock.now();
        let mut sum = vec![0f32; PUSH / 4];
        for _ in 0..WORKERS {
            let push = pushed.recv().expect("a push");
            for (sum, bytes) in sum.iter_mut().zip(push.chunks_exact(4)) {
                *sum += f32::from_le_bytes(bytes.try_into().expect("four bytes"));
            }
        }
        let bytes = Arc::new(sum.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        pulls.iter().for_each(|pull| pull.send(bytes.clone()).expect("a worker"));
        seconds.push((clock.now() - began).as_secs_f64());
    }
    seconds
}
