//! A run that holds, and what becomes of it in the hands of others.

mod fixture;
mod tampered;

use std::fs;

use super::*;
use crate::scratch::Scratch;

#[test]
fn a_run_that_kept_to_its_rules_passes() {
    let scratch = Scratch::new("audit");
    let folder = fixture::leave(&scratch, false);
    let audit = audit(&folder).unwrap();
    assert!(audit.passed() && audit.sealed, "{audit}");
    insta::assert_snapshot!(audit.to_string().replace(&*folder.to_string_lossy(), "RUN"));
}

#[test]
fn a_killed_run_passes_as_far_as_it_goes() {
    let scratch = Scratch::new("audit-killed");
    let folder = fixture::leave(&scratch, true);
    let whole = [EVENTS, ROUNDS, EVALS].map(|name| fs::read(folder.join(name)).unwrap());
    // Wherever each of its files ends.
    let mut state = 12_345_u64;
    let mut audits = 0;
    for _ in 0..300 {
        for (name, bytes) in [EVENTS, ROUNDS, EVALS].iter().zip(&whole) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let header = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let end = header + (state >> 33) as usize % (bytes.len() + 1 - header);
            fs::write(folder.join(name), &bytes[..end]).unwrap();
        }
        let audit = audit(&folder).unwrap();
        assert!(audit.passed() && !audit.sealed, "{audit}");
        audits += u32::from(audit.checked.rounds > 0);
    }
    assert!(audits > 100);
}

#[test]
fn no_bytes_make_it_panic() {
    let scratch = Scratch::new("audit-hostile");
    let folder = fixture::leave(&scratch, false);
    let names = [EVENTS, ROUNDS, EVALS, SUMMARY, PLAN];
    let whole = names.map(|name| fs::read(folder.join(name)).unwrap());
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..400 {
        let victim = random(names.len());
        let mut bytes = whole[victim].clone();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] = b"0123456789-,.e\"{}\n"[random(18)],
                2 => drop(bytes.drain(at..(at + random(300)).min(bytes.len()))),
                _ => bytes.truncate(at),
            }
            if bytes.is_empty() {
                break;
            }
        }
        fs::write(folder.join(names[victim]), &bytes).unwrap();
        if let Ok(audit) = audit(&folder) {
            // Nothing seals the seal: some of its figures are known from nowhere else.
            let intact = bytes == whole[victim] || names[victim] == SUMMARY && audit.passed();
            assert_eq!(audit.passed(), intact, "{}: {audit}", names[victim]);
        }
        fs::write(folder.join(names[victim]), &whole[victim]).unwrap();
    }
}

#[test]
fn what_is_no_run_is_said() {
    let scratch = Scratch::new("audit-none");
    let folder = fixture::leave(&scratch, false);
    let said = |folder: &Path| {
        let said = audit(folder).unwrap_err().to_string();
        said.replace(&*scratch.to_string_lossy(), "RUNS")
    };
    assert_eq!(
        said(&scratch),
        "RUNS is no run folder: it has no plan.toml; did you mean RUNS/run?"
    );
    assert_eq!(
        said(&scratch.join("absent")),
        "RUNS/absent is no run folder: it has no plan.toml, for it does not exist"
    );
    fs::remove_file(folder.join(EVALS)).unwrap();
    assert_eq!(said(&folder), "RUNS/run is no run folder: it has no evals.csv");
    fs::write(folder.join(EVALS), "").unwrap();
    fs::write(folder.join(PLAN), "tolerance = [").unwrap();
    assert_eq!(said(&folder), "RUNS/run: its plan is none");
}
