//! TCP connections that wake their reader when there is something worth waking for.
//!
//! An answer of a megabyte is of no use before its last byte is there, and of several small ones that are under way the first alone
//! is of little. Left alone, the system wakes the reader for every piece that comes in. A socket's low-water mark (SO_RCVLOWAT, socket(7))
//! makes it wait for more. It is no more than a hint: Linux wakes the reader all the same when the receive window is full or
//! memory is short (tcp_epollin_ready in net/ipv4/tcp_input.c), or when the peer closes. A mark above what will still come, though, would
//! be waited for for ever.

mod plain;
mod under_tls;

pub(crate) use plain::Plain;
pub(super) use under_tls::{Due, LowWater};

use tokio::net::TcpStream;

/// The mark of a connection, as it was set last.
#[derive(Debug)]
struct Mark(usize);

impl Default for Mark {
    fn default() -> Self {
        Self(1)
    }
}

/// A larger mark saves little more, and the system sets so much memory aside twice.
const MOST_BYTES: usize = 1 << 20;

impl Mark {
    /// The reader is about to wait for `bytes` that are still to come; of many the first. If they have come by now the system says so.
    /// Where a mark cannot be set it stays as it was from the beginning.
    fn set(&mut self, tcp: &TcpStream, bytes: usize) {
        let mark = bytes.clamp(1, MOST_BYTES);
        if self.0 != mark {
            system::set_low_water(tcp, mark);
            self.0 = mark;
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::AsRawFd;
    use std::sync::LazyLock;
    use tokio::net::TcpStream;
    use uapi::c;

    /// Older kernels may let a reader wait for ever where the window is full or memory is short.
    const SINCE: (u32, u32) = (5, 12);
    static IS_USABLE: LazyLock<bool> = LazyLock::new(|| {
        release(&rustix::system::uname().release().to_string_lossy()).is_some_and(|found| found >= SINCE)
    });

    pub(super) fn set_low_water(tcp: &TcpStream, mark: usize) {
        if let (true, Ok(mark)) = (*IS_USABLE, c::c_int::try_from(mark))
            && let Err(error) = uapi::setsockopt(tcp.as_raw_fd(), c::SOL_SOCKET, c::SO_RCVLOWAT, &mark)
        {
            tracing::debug!(%error, mark, "the low-water mark of a connection cannot be set");
        }
    }

    /// The first two numbers of a kernel's release.
    fn release(text: &str) -> Option<(u32, u32)> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    #[cfg(test)]
    #[test]
    fn releases_of_kernels() {
        assert_eq!(release("6.18.44-generic"), Some((6, 18)));
        assert_eq!(release("4.18.0-553.el8_10.x86_64"), Some((4, 18)));
        assert_eq!(release("5.4"), Some((5, 4)));
        assert_eq!(release("unknown"), None);
        assert!(release("3.10.0-1160.el7").is_some_and(|old| old < (4, 18)));
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn set_low_water(_: &tokio::net::TcpStream, _: usize) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
