//! The rustls session of either role as one type. A program without the server role has no code of
//! it, and the code that drops a session exists once.

use std::fmt::Debug;
use std::io;
use std::ops::{Deref as _, DerefMut as _};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, CommonState, IoState, Reader, Writer};

/// A rustls session. The methods are those of [`ClientConnection`].
pub(crate) trait TlsSession: Debug + Send + Sync {
    /// The certificate of the server, which `own_certificate` is if this end is the server.
    fn server_certificate<'a>(
        &'a self,
        own_certificate: Option<&'a CertificateDer<'static>>,
    ) -> Option<&'a CertificateDer<'static>>;

    fn state(&self) -> &CommonState;
    fn state_mut(&mut self) -> &mut CommonState;
    fn set_buffer_limit(&mut self, limit: Option<usize>);
    fn read_tls(&mut self, input: &mut &[u8]) -> io::Result<usize>;
    fn process_new_packets(&mut self) -> Result<IoState, rustls::Error>;
    fn reader(&mut self) -> Reader<'_>;
    fn writer(&mut self) -> Writer<'_>;
    fn write_tls(&mut self, output: &mut Vec<u8>) -> io::Result<usize>;

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), rustls::Error>;
}

macro_rules! session_of_rustls {
    ($session:ty, $server_certificate:expr) => {
        impl TlsSession for $session {
            fn server_certificate<'a>(
                &'a self,
                own_certificate: Option<&'a CertificateDer<'static>>,
            ) -> Option<&'a CertificateDer<'static>> {
                $server_certificate(self, own_certificate)
            }

            fn state(&self) -> &CommonState {
                self.deref()
            }

            fn state_mut(&mut self) -> &mut CommonState {
                self.deref_mut()
            }

            fn set_buffer_limit(&mut self, limit: Option<usize>) {
                self.deref_mut().set_buffer_limit(limit);
            }

            fn read_tls(&mut self, input: &mut &[u8]) -> io::Result<usize> {
                self.deref_mut().read_tls(input)
            }

            fn process_new_packets(&mut self) -> Result<IoState, rustls::Error> {
                self.deref_mut().process_new_packets()
            }

            fn reader(&mut self) -> Reader<'_> {
                self.deref_mut().reader()
            }

            fn writer(&mut self) -> Writer<'_> {
                self.deref_mut().writer()
            }

            fn write_tls(&mut self, output: &mut Vec<u8>) -> io::Result<usize> {
                self.deref_mut().write_tls(output)
            }

            fn export_keying_material(
                &self,
                output: &mut [u8],
                label: &[u8],
                context: Option<&[u8]>,
            ) -> Result<(), rustls::Error> {
                let exported = self.deref().export_keying_material(output, label, context);
                exported.map(|_| ())
            }
        }
    };
}

session_of_rustls!(ClientConnection, |session: &'a ClientConnection, _| session
    .peer_certificates()?
    .first());
#[cfg(feature = "server")]
session_of_rustls!(rustls::ServerConnection, |_, own_certificate| {
    own_certificate
});
