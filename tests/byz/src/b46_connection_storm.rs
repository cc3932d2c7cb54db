//! 46: connections that come and go at once: silent ones, half a greeting, garbage, and a greeting whose answer is not read.

use crate::http2;
use crate::report::Report;
use quorate_simulator::Random;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Connections that are kept open before all are dropped at once.
const KEPT: usize = 64;
/// Between two connections; the ports of one address would be used up otherwise.
const PAUSE: Duration = Duration::from_millis(2);

/// Connects again and again, for ever.
pub(crate) async fn storm(endpoint: String, mut random: Random, report: Arc<Report>) {
    let mut kept = Vec::new();
    loop {
        if let Ok(mut stream) = TcpStream::connect(&endpoint).await {
            report.lied(46);
            let greeting = http2::greeting();
            let said: &[u8] = match random.below(5) {
                0 | 1 => &[],
                2 => &greeting[..greeting.len() / 2],
                3 => &[0xff; 64],
                _ => &greeting,
            };
            let _ = stream.write_all(said).await;
            if random.permille(300) {
                kept.push(stream);
            } else {
                // A reset, so that no port waits for late packets.
                let _ = stream.set_zero_linger();
            }
        }
        if kept.len() >= KEPT {
            for stream in kept.drain(..) {
                let _ = stream.set_zero_linger();
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
