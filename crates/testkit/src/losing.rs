//! Losing: a connection that breaks after what was asked for is done, and before the answer is there.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// How long either side of a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most connections that are taken: a test asks a few times.
const MAX_CONNECTIONS: usize = 16;

/// Stands in front of the server at `address`, passes on what comes, and breaks the first `lost` connections as soon as the server begins
/// to answer. Returns the URL to ask.
pub fn losing_answers(address: &str, lost: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let address = address.to_owned();
    thread::spawn(move || {
        for (number, client) in listener.incoming().take(MAX_CONNECTIONS).enumerate() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&address)) else { return };
            thread::spawn(move || pass(client, server, number < lost));
        }
    });
    url
}

fn pass(mut client: TcpStream, mut server: TcpStream, loses: bool) -> io::Result<()> {
    for side in [&client, &server] {
        side.set_read_timeout(Some(PATIENCE))?;
    }
    let (mut asked, mut behind) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut asked, &mut behind));
    let mut begun = [0; 4096];
    let length = server.read(&mut begun)?;
    if loses {
        server.shutdown(Shutdown::Both)?;
        return client.shutdown(Shutdown::Both);
    }
    client.write_all(&begun[..length])?;
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)
}
