//! The program, its state, and what its control thread loses.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use super::Moment;
use crate::control::metrics::Losses;
use crate::control::metrics::overflow::socket_overflow;
use crate::control::metrics::process::Process;
use crate::control::metrics::text::{MetricKind, Text};

pub(super) fn tell(text: &mut Text, moment: &Moment<'_>) {
    program(text, moment);
    state(text, moment);
    losses(text, &moment.about.losses);
    process(text, &Process::now());
    worker_cpu(text, moment);
    if let Some(datagrams) = socket_overflow() {
        let help = "Datagrams the kernel dropped because a UDP socket's buffer was full: of every \
                    process in this network namespace.";
        text.family("uturn_host_socket_overflow_total", MetricKind::Counter, help)
            .sample(&[], datagrams);
    }
}

fn program(text: &mut Text, moment: &Moment<'_>) {
    let about = moment.about;
    let one = [("version", env!("CARGO_PKG_VERSION")), ("driver", about.driver)];
    text.family("uturn_build_info", MetricKind::Gauge, "1; the labels say what runs.")
        .sample(&one, 1);
    let started = about.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    text.family(
        "process_start_time_seconds",
        MetricKind::Gauge,
        "Start of the server since the Unix epoch.",
    )
    .sample(&[], started.as_secs_f64());
    text.family("uturn_uptime_seconds", MetricKind::Gauge, "Time since the start of the server.")
        .sample(&[], about.begun.elapsed().as_secs_f64());
    text.family("uturn_workers", MetricKind::Gauge, "Workers that were started.")
        .sample(&[], about.workers);
}

fn state(text: &mut Text, moment: &Moment<'_>) {
    text.family(
        "uturn_workers_answering",
        MetricKind::Gauge,
        "Workers that answered within a second; the others are missing where each is told.",
    )
    .sample(&[], moment.sample.answered.len());
    let help = "1 while clients should be sent here, as /ready says.";
    text.family("uturn_ready", MetricKind::Gauge, help).sample(&[], u8::from(moment.is_ready));
    certificates(text, moment);
    let help = "1 while the server takes no new clients and waits for the last to go.";
    let is_draining = u8::from(moment.status.is_draining());
    text.family("uturn_draining", MetricKind::Gauge, help).sample(&[], is_draining);
}

/// A label is a name in the operator's own certificates.
fn certificates(text: &mut Text, moment: &Moment<'_>) {
    let status = moment.status;
    let help = "Last second that a certificate holds, since the Unix epoch.";
    let mut family = text.family("uturn_certificate_not_after_seconds", MetricKind::Gauge, help);
    for (at, facts) in status.certificates.iter().enumerate() {
        // An ECDSA and an RSA certificate may have one name.
        let place = (at + 1).to_string();
        family.sample(&[("place", &place), ("name", &facts.name)], facts.not_after_s);
    }
    let help = "Certificates read again: succeeded, and others hold; failed, and those that held \
                go on.";
    let name = "uturn_certificate_reloads_total";
    let mut family = text.family(name, MetricKind::Counter, help);
    family.sample(&[("result", "succeeded")], status.certificate_reloads.succeeded);
    family.sample(&[("result", "failed")], status.certificate_reloads.failed);
}

/// Under the names that every Prometheus client library has for them; what the kernel does not tell
/// is left out.
fn process(text: &mut Text, process: &Process) {
    if let Some(cpu_s) = process.cpu_s {
        let help = "CPU time of the whole process, user and system.";
        text.family("process_cpu_seconds_total", MetricKind::Counter, help).sample(&[], cpu_s);
    }
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory in RAM.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Address space.", process.virtual_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        ("process_max_fds", "Limit of open file descriptors.", process.max_fds),
    ] {
        if let Some(value) = value {
            text.family(name, MetricKind::Gauge, help).sample(&[], value);
        }
    }
}

fn worker_cpu(text: &mut Text, moment: &Moment<'_>) {
    if moment.sample.cpu_us.is_empty() {
        return;
    }
    let help = "CPU time of a worker's thread; a rate of 1 is a full core.";
    let mut family = text.family("uturn_worker_cpu_seconds_total", MetricKind::Counter, help);
    for (worker, cpu_us) in &moment.sample.cpu_us {
        family.sample(&[("worker", &worker.0.to_string())], *cpu_us as f64 / 1e6);
    }
}

fn losses(text: &mut Text, losses: &Losses) {
    let help =
        "Reports of workers, for the log and the usage records, that were not taken in time.";
    text.family("uturn_reports_lost_total", MetricKind::Counter, help)
        .sample(&[], losses.reports.load(Ordering::Relaxed));
    let help = "Lines of the log that were lost because nobody read them in time.";
    text.family("uturn_log_lines_lost_total", MetricKind::Counter, help)
        .sample(&[], losses.log.load(Ordering::Relaxed));
    let help = "Usage records that are in their file.";
    text.family("uturn_usage_records_written_total", MetricKind::Counter, help)
        .sample(&[], losses.usage.written());
    let help = "Usage records that are not, because the disk is too slow or full.";
    text.family("uturn_usage_records_lost_total", MetricKind::Counter, help)
        .sample(&[], losses.usage.lost());
}
