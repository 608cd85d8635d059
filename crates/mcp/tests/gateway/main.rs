//! The gateway and the holder's end, driven over real sockets on loopback, in front of a server that notes all
//! that reaches it.

#![allow(unreachable_pub, reason = "a test is no library")]

mod agent;
mod answers;
mod asked_again;
mod asking;
mod attacks;
mod bounds;
mod credentials;
mod eras;
mod holding;
mod lasting;
mod lists;
mod load;
mod operation;
mod policies;
mod real_server;
mod resources;
mod revoking;
mod roots;
mod spelling;
mod stage;
mod streams;
mod tasks;
mod turned_away;
mod unread;
