//! The command where it is deployed: full disks, pipes that nobody reads, secrets in the wrong place, other names and files.

mod output;
mod placing;
mod scene;
mod secrets;
