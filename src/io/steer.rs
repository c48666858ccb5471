//! Steering by the receiving core: a classic BPF program on a reuse-port group.
//!
//! The kernel asks the program which socket of the group gets a datagram, by its place in the group,
//! which is the order in which the sockets were bound. The answer here is the place of the worker on
//! the core that runs the receive. A place that does not exist makes the kernel hash as without a
//! program.
//!
//! ```text
//! ldw  A, cpu
//! jeq  A, core 0 → ret 0
//! jeq  A, core 1 → ret 1 …
//! mod  A, sockets
//! ret  A
//! ```
#![expect(unsafe_code, reason = "hands a program to the kernel by pointer")]

use std::{io, net::UdpSocket, os::fd::AsRawFd};

use super::sys::check;

/// Offset of the number of the current CPU in the kernel's ancillary data.
const CPU: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const REMAINDER: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const RETURN_A: u16 = (libc::BPF_RET | libc::BPF_A) as u16;

/// Has the datagrams of a reuse-port group go to the socket whose place in the group is that of the
/// receiving core in `cores`; those of other cores are spread evenly. Any socket of the group will
/// do, and the program holds for all.
///
/// # Errors
/// What the kernel says; every kernel since 4.5 takes the program.
pub fn by_core(socket: &UdpSocket, cores: &[usize]) -> io::Result<()> {
    let mut program = program(cores);
    let attached = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let bytes = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the option value is one sock_fprog, and the instructions it points to live in
    // `program`; the kernel copies both within the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const attached).cast(),
            bytes,
        )
    };
    check(result).map(drop)
}

fn program(cores: &[usize]) -> Vec<libc::sock_filter> {
    let load = instruction(LOAD, 0, CPU);
    // A core that does not match passes over the return behind its comparison.
    let places = cores.iter().zip(0..).flat_map(|(core, place)| {
        [instruction(JUMP_EQUAL, 1, *core as u32), instruction(RETURN, 0, place)]
    });
    let others =
        [instruction(REMAINDER, 0, cores.len().max(1) as u32), instruction(RETURN_A, 0, 0)];
    std::iter::once(load).chain(places).chain(others).collect()
}

fn instruction(code: u16, otherwise: u8, operand: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: otherwise, k: operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers on a core, worked off as the kernel does.
    fn place(program: &[libc::sock_filter], core: u32) -> u32 {
        let (mut a, mut next) = (0, 0);
        loop {
            let step = program[next];
            next += 1;
            match step.code {
                LOAD => a = core,
                JUMP_EQUAL => next += usize::from(if a == step.k { step.jt } else { step.jf }),
                REMAINDER => a %= step.k,
                RETURN => return step.k,
                RETURN_A => return a,
                other => panic!("{other} is not in the program"),
            }
        }
    }

    #[test]
    fn every_core_finds_its_worker() {
        let program = program(&[2, 3, 8]);
        assert_eq!([2, 3, 8].map(|core| place(&program, core)), [0, 1, 2]);
        assert!((0..64).all(|core| place(&program, core) < 3));
    }

    #[test]
    fn the_first_of_two_workers_on_a_core_gets_its_packets() {
        let program = program(&[0, 1, 0, 1]);
        assert_eq!([0, 1].map(|core| place(&program, core)), [0, 1]);
    }

    #[test]
    fn the_longest_program_fits() {
        assert!(program(&[0; 128]).len() < 4096);
    }
}
