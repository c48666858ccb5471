//! What every driver of `uturn::io` does, run for each of them over loopback; on a kernel that has
//! io_uring, but not what a driver builds on, that driver is left out with a line.

#![expect(
    unreachable_pub,
    reason = "a test binary exports nothing; `pub` marks what a module offers"
)]

mod buffers;
mod flow;
mod life;
#[expect(dead_code, reason = "of the machine, only what it lacks")]
#[path = "../rig/machine.rs"]
mod machine;
mod node;
mod streams;
mod take;

use std::sync::OnceLock;

use streams::{begin, carry, crowd, end, leave, torture};
use uturn::io::{Facts, PortableDriver, Settings, UringDriver};

macro_rules! suite {
    ($($driver:ident: $new:expr, $lacking:expr;)*) => { $(suite!(@each $driver, $new, $lacking,
        flow: [
            echo_v4, echo_v6, extremes_of_length, a_train_leaves_as_one_send,
            a_train_arrives_as_one_receive, headers_and_pads_are_gathered,
            a_lone_shared_piece_with_a_header, a_repeated_piece_is_a_train,
            what_waits_comes_in_few_turns,
            an_answer_needs_no_turn_of_its_own,
            whoever_looks_for_packets_first_sleeps_no_longer,
            turns_and_trains_add_up, the_time_held_is_sampled,
            order_within_a_flow_holds, a_full_queue_is_flushed_not_dropped,
            starvation_recovers, held_buffers_stop_receiving_and_nothing_else,
        ],
        buffers: [
            what_was_in_use_last_is_used_next, what_is_held_stays_as_it_is,
            a_driver_out_of_buffers_hears_on_while_it_sends,
        ],
        life: [
            a_closed_socket_is_silent_and_its_port_free, many_sockets_close_at_once,
            a_packet_does_not_wait_behind_sockets_that_end, a_socket_closed_before_it_was_armed, the_table_is_bounded,
            a_taken_port_is_refused, an_address_of_nobody_is_refused, many_sockets_open_at_once,
            another_thread_wakes_it, no_wake_is_lost, a_wait_ends_in_time,
            idle_costs_no_wake_up, leases_come_back,
            without_segmentation_every_datagram_is_a_send,
            a_refused_train_goes_out_singly,
            drops_of_a_full_socket_are_known,
            a_driver_ends_with_everything_under_way,
            thousands_of_sockets_end_with_their_driver_at_once,
        ],
        take: [
            a_taken_socket_serves_in_another_driver,
            a_socket_taken_while_traffic_arrives_goes_on,
            what_was_queued_leaves_before_a_taken_socket,
            a_socket_that_is_taken_is_neither_taken_again_nor_closed,
            a_socket_that_is_closed_cannot_be_taken,
            a_socket_that_can_have_no_descriptor_is_closed_instead,
            a_paused_socket_hears_nothing_until_it_is_resumed,
            a_paused_socket_can_be_closed_and_taken,
        ],
        begin: [
            both_ends_of_a_connection_are_told, two_listeners_are_told_apart,
            a_full_table_waits_and_goes_on,
            a_place_that_was_taken_meanwhile_costs_one_connection, a_listener_that_is_stopped_takes_nobody,
            who_waits_at_a_listener_that_is_stopped_hears_of_it,
            a_connect_reaches_who_listens, a_connect_leaves_from_an_address_in_use,
            a_connect_that_is_refused_is_closed, a_unix_socket_is_a_stream_too,
            an_adopted_stream_reads_when_it_is_to,
        ],
        carry: [
            single_bytes_come_in_order, megabytes_reach_a_slow_reader_in_order,
            megabytes_arrive_in_order_and_in_shares,
            a_fin_comes_behind_the_bytes_and_answers_still_go,
            a_fin_waits_for_the_write_before_it, a_write_that_waits_delays_no_datagram,
            bytes_of_a_stream_go_to_a_peer, a_paused_stream_is_silent_and_loses_nothing,
            pauses_lose_no_byte_of_a_busy_stream,
        ],
        end: [
            a_quiet_stream_closes_with_a_fin, what_was_written_arrives_before_the_end,
            a_reset_is_seen_by_the_peer, a_write_that_waits_ends_with_the_stream,
            unread_bytes_go_with_the_stream, a_stream_can_be_hung_up_before_it_reads,
            a_peer_that_resets_closes_the_stream, a_write_behind_a_broken_stream_is_nothing,
            a_connect_under_way_can_be_hung_up, a_driver_ends_with_streams_under_way,
            another_stream_under_a_number_gets_nothing_of_the_first,
            an_end_right_behind_bytes_is_never_missed,
        ],
        leave: [
            a_stream_goes_on_in_another_driver, bytes_behind_a_request_go_along,
            a_stream_leaves_behind_the_write_under_way,
            who_does_not_wait_for_the_write_hangs_up, a_detached_descriptor_is_the_only_one,
        ],
        crowd: [
            thousands_that_say_nothing_come_and_go, a_full_backlog_is_taken_in_few_turns,
            many_listeners_behind_a_burst_leave_places, chatty_streams_take_no_buffer_of_datagrams,
        ],
        torture: [any_order_of_calls_keeps_the_order_of_bytes,],
    );)* };
    (@each $driver:ident, $new:expr, $lacking:expr, $($module:ident: [$($test:ident,)*],)*) => {
        mod $driver {
            $($(#[test]
            fn $test() {
                match $lacking() {
                    None => crate::$module::$test($new),
                    Some(feature) => crate::machine::skip(stringify!($driver), feature),
                }
            })*)*
        }
    };
}

/// What this kernel can do, tried once. Only for tests that have to know: a ring that ends cuts the
/// next wait of its thread short, as a signal does.
fn facts() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(Facts::probe)
}

fn nothing() -> Option<&'static str> {
    None
}

fn direct_sockets() -> Option<&'static str> {
    let facts = facts();
    let lacking = (!facts.direct_sockets).then_some("sockets that io_uring opens (kernel 6.13)");
    lacking.filter(|_| facts.uring.is_ok())
}

fn registered_files() -> Option<&'static str> {
    let facts = facts();
    let lacking = (!facts.registered_files).then_some("a ring that releases files (kernel 6.13)");
    lacking.filter(|_| facts.uring.is_ok())
}

fn uring(settings: &Settings) -> UringDriver {
    UringDriver::new(settings).expect("io_uring")
}

/// As on kernels before 6.11.
fn uring_of_descriptors(settings: &Settings) -> UringDriver {
    let settings = Settings { direct_sockets: false, ..*settings };
    UringDriver::new(&settings).expect("io_uring")
}

/// As on kernels from 6.1 to 6.12.
fn older_uring(settings: &Settings) -> UringDriver {
    let settings = Settings { registered_files: false, ..*settings };
    UringDriver::new(&settings).expect("io_uring")
}

fn portable(settings: &Settings) -> PortableDriver {
    PortableDriver::new(settings).expect("epoll")
}

suite! {
    io_uring: super::uring, crate::direct_sockets;
    io_uring_of_descriptors: super::uring_of_descriptors, crate::registered_files;
    io_uring_older: super::older_uring, crate::nothing;
    portable: super::portable, crate::nothing;
}
