//! MCP on standard input and output: `hardtack agent --stdio`, started as clients start it, in front of a real gateway and a real server.

mod calls;
mod client;
mod limits;
mod scene;
mod server;
mod staying;
mod wrapped;
