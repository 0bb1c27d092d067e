//! What becomes of the ports' devices: told to control, shown in listings, and in the log.

use super::Live;
use stack::Now;
use stack::io::devices::News;
use stack::ports::DeviceState;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// What was last heard of a port's device; read by any thread.
#[derive(Debug, Default)]
pub(crate) struct DeviceCell(AtomicU8);

/// As listings call them, in the order of [`DeviceCell`]'s numbers.
const STATES: [&str; 4] = ["up", "down", "gone", "moved"];

impl DeviceCell {
    fn set(&self, state: DeviceState) {
        let number = match state {
            DeviceState::Up => 0,
            DeviceState::Down => 1,
            DeviceState::Deleted => 2,
            DeviceState::Moved => 3,
        };
        self.0.store(number, Ordering::Relaxed);
    }

    /// As listings call it.
    pub(super) fn word(&self) -> &'static str {
        let number = usize::from(self.0.load(Ordering::Relaxed));
        STATES.get(number).copied().unwrap_or("up")
    }
}

impl Live {
    /// Hears what became of devices since the last turn. What comes after new queues waits until they are on their way.
    pub(super) fn hear_devices(&mut self, now: Now) {
        if let Some(news) = &self.device_news {
            self.device_news_due.extend(news.try_iter());
        }
        while let Some(news) = self.device_news_due.pop_front() {
            match news {
                News::Replaced(replacement) if !self.control.replace(&replacement) => {
                    self.device_news_due.push_front(News::Replaced(replacement));
                    return;
                }
                News::Replaced(replacement) => {
                    let port = self.port_name(replacement.port);
                    tracing::info!(port, "its device is there again");
                }
                News::State(port, state) => {
                    if let Some(cell) = self.about.devices.get(usize::from(port.0)) {
                        cell.set(state);
                    }
                    self.control
                        .device_changed(port, state, &mut self.host, now);
                }
                News::Refused(port, why) => {
                    let port = self.port_name(port);
                    tracing::warn!(port, "its device cannot be opened again: {why}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_state_is_called_by_its_word() {
        let cell = DeviceCell::default();
        assert_eq!(cell.word(), "up");
        let states = [
            (DeviceState::Deleted, "gone"),
            (DeviceState::Down, "down"),
            (DeviceState::Moved, "moved"),
            (DeviceState::Up, "up"),
        ];
        for (state, word) in states {
            cell.set(state);
            assert_eq!(cell.word(), word);
        }
    }
}
