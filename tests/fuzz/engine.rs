//! Makes inputs out of a corpus, tries them, and makes small what fails.

use std::{
    cell::Cell,
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, Instant, UNIX_EPOCH},
};

use super::{
    coverage::Coverage,
    mutate::{Rng, mutated},
};

/// How long each test looks if `UTURN_FUZZ_SECONDS` says nothing else.
const SECONDS: f64 = 1.0;
/// Tries at making a failing input shorter.
const SHORTENINGS: usize = 2_000;
/// Each so many inputs the time is looked at.
const BATCH: usize = 64;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Tries whatever comes to mind on `one`, which panics where something is wrong.
pub(crate) fn fuzz(name: &str, one: impl Fn(&[u8])) {
    let is_kept = env::var_os("UTURN_FUZZ_KEEP").is_some();
    let reaches = |coverage: &mut Coverage, input: &[u8]| {
        coverage.begin();
        try_one(name, input, &one);
        coverage.is_new()
    };
    let (mut code, mut counts, mut pool) = (Coverage::of_code(), Coverage::of_counts(), Vec::new());
    for (path, input) in corpus(name) {
        let is_new = reaches(&mut code, &input);
        if Coverage::COUNTS && is_kept && !is_new {
            fs::remove_file(path).expect("a shorter one reaches the same");
        }
        reaches(&mut counts, &input);
        pool.push(input);
    }
    let seed = seed();
    let mut rng = Rng::new(seed);
    let (begun, most) = (Instant::now(), seconds());
    let mut tried = 0_u64;
    while begun.elapsed() < most {
        for _ in 0..BATCH {
            let input = mutated(&mut rng, &pool);
            if reaches(&mut counts, &input) {
                if is_kept {
                    keep(name, &input);
                }
                pool.push(input);
            }
            tried += 1;
        }
    }
    let led = if Coverage::COUNTS { "led by coverage" } else { "led by nothing" };
    eprintln!("{name}: UTURN_SEED={seed}, {tried} inputs, {led}, {} in the pool", pool.len());
}

fn try_one(name: &str, input: &[u8], one: &impl Fn(&[u8])) {
    let Err(cause) = panics(input, one, false) else { return };
    let short = shortened(input, one);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:08x}", hash(&short)));
    fs::write(&path, &short).expect("a file can be written");
    let hex: String = short.iter().map(|byte| format!("{byte:02x}")).collect();
    eprintln!("{name} fails on {} bytes: {hex}\nkept as {}", short.len(), path.display());
    panic::resume_unwind(cause);
}

fn panics(input: &[u8], one: &impl Fn(&[u8]), is_quiet: bool) -> std::thread::Result<()> {
    silence();
    IS_QUIET.set(is_quiet);
    let result = panic::catch_unwind(AssertUnwindSafe(|| one(input)));
    IS_QUIET.set(false);
    result
}

/// Has panics of inputs that are only made shorter say nothing.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                loud(info);
            }
        }));
    });
}

/// The input with as much left out as can be: it still fails, in whatever way.
fn shortened(input: &[u8], one: &impl Fn(&[u8])) -> Vec<u8> {
    let mut short = input.to_vec();
    let (mut size, mut at, mut tries) = (input.len() / 2, 0, 0);
    while size > 0 && tries < SHORTENINGS {
        let mut next = short.clone();
        next.drain(at.min(next.len())..(at + size).min(next.len()));
        tries += 1;
        if next.len() < short.len() && panics(&next, one, true).is_err() {
            short = next;
        } else if at + size < short.len() {
            at += size;
        } else {
            (size, at) = (size / 2, 0);
        }
    }
    short
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

/// The corpus of a test, short inputs first.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder(name)).into_iter().flatten().map_while(Result::ok);
    let read = |path: PathBuf| {
        let input = fs::read(&path).expect("a file of the corpus");
        (path, input)
    };
    let mut inputs: Vec<_> = files.map(|file| read(file.path())).collect();
    inputs.sort_by(|a, b| (a.1.len(), &a.1).cmp(&(b.1.len(), &b.1)));
    inputs
}

fn keep(name: &str, input: &[u8]) {
    fs::create_dir_all(folder(name)).expect("a folder can be made");
    let path = folder(name).join(format!("{:08x}", hash(input)));
    fs::write(path, input).expect("a file can be written");
}

/// FNV-1a.
fn hash(input: &[u8]) -> u32 {
    input.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn seconds() -> Duration {
    let seconds = env::var("UTURN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(SECONDS))
}

fn seed() -> u64 {
    let given = env::var("UTURN_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64)
}

#[test]
fn a_failing_input_is_made_short() {
    let one = |input: &[u8]| assert!(!input.windows(2).any(|pair| pair == b"ab"));
    let short = shortened(b"some words that have ab somewhere in the middle of them", &one);
    assert_eq!(short, b"ab");
}
