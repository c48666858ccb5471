//! Several workers: who serves whom, and what becomes of the others when one hangs or breaks.

mod broken;
mod hang;
mod ports;
mod spread;
mod steer;
