//! Sends through a SOCKS5 proxy (RFC 1928, no authentication), over your own stream: `socks5
//! PROXY:PORT URL FROM TO`.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_blocking::{Connection, proto::Envelope};

/// Asks the proxy to connect to `host`, which the proxy resolves.
fn connect(proxy: &str, host: &str, port: u16) -> io::Result<TcpStream> {
    let refused = || io::Error::other("the proxy refused");
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    let length = u8::try_from(host.len()).map_err(|_| io::Error::other("the name is too long"))?;
    let mut request = vec![5, 1, 0, 3, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    if method != [5, 0] {
        return Err(refused());
    }
    stream.write_all(&request)?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    if reply[1] != 0 {
        return Err(refused());
    }
    let address = match reply[3] {
        1 => 3,
        4 => 15,
        _ => usize::from(reply[4]),
    };
    stream.read_exact(&mut vec![0; address + 2])?;
    Ok(stream)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proxy, url, from, to] = &arguments[..] else {
        return Err("usage: socks5 PROXY:PORT URL FROM TO".into());
    };
    let config = TransportBuilder::<TransportConfig>::from_url(url)?.build()?;
    let stream = connect(proxy, config.host(), config.port())?;
    let mut connection = Connection::over(stream, &config);
    let envelope = Envelope::new(Some(from.parse()?), vec![to.parse()?])?;
    println!(
        "{}",
        connection.send(&envelope, "Subject: hello\n\nHello.\n")?
    );
    connection.quit()?;
    Ok(())
}
