//! What becomes of the ports' devices: told to control, shown in listings, and in the log.

use super::Live;
use stack::Now;
use stack::io::devices::News;
use stack::io::xdp::Chosen;
use stack::ports::DeviceState;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// What was last heard of a port's device, by which way frames get to one of type xdp, and what is wrong with it; read by any
/// thread.
#[derive(Debug, Default)]
pub(crate) struct DeviceCell(AtomicU8, AtomicU8, Mutex<Option<String>>);

/// In the order of [`DeviceCell`]'s second number, after 0 for none.
const MODES: [Chosen; 3] = [Chosen::ZeroCopy, Chosen::Copy, Chosen::Generic];

/// As listings call them, in the order of [`DeviceCell`]'s numbers.
const STATES: [&str; 4] = ["up", "down", "gone", "moved"];

impl DeviceCell {
    /// One that is up, whose frames come by this way.
    pub(crate) fn of(mode: Option<Chosen>) -> Self {
        let cell = Self::default();
        cell.set_mode(mode);
        cell
    }

    fn set_mode(&self, mode: Option<Chosen>) {
        let at = mode.and_then(|mode| MODES.iter().position(|is| *is == mode));
        let number = at.map_or(0, |at| at as u8 + 1);
        self.1.store(number, Ordering::Relaxed);
    }

    /// By which way frames get there, as listings call it.
    pub(super) fn mode(&self) -> Option<&'static str> {
        let number = usize::from(self.1.load(Ordering::Relaxed));
        let mode = number.checked_sub(1).and_then(|at| MODES.get(at));
        mode.map(|mode| mode.word())
    }

    fn set_warning(&self, warning: Option<String>) {
        *self.2.lock().unwrap_or_else(PoisonError::into_inner) = warning;
    }

    /// What is wrong with it, and what to do about that.
    pub(super) fn warning(&self) -> Option<String> {
        let warning = self.2.lock().unwrap_or_else(PoisonError::into_inner);
        warning.clone()
    }

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
                    let cell = self.about.devices.get(usize::from(replacement.port.0));
                    if let Some(cell) = cell {
                        cell.set_mode(replacement.mode);
                    }
                    let port = self.port_name(replacement.port);
                    let mode = replacement.mode.map(Chosen::word);
                    tracing::info!(port, mode, "its device is there again");
                }
                News::State(port, state) => {
                    if let Some(cell) = self.about.devices.get(usize::from(port.0)) {
                        cell.set(state);
                    }
                    self.control
                        .device_changed(port, state, &mut self.host, now);
                }
                News::Mtu(port, mtu) => self.control.interface_mtu(port, mtu, &mut self.host),
                News::Partly(port, warning) => {
                    let name = self.port_name(port);
                    match &warning {
                        Some(warning) => tracing::warn!(port = name, "{warning}"),
                        None => tracing::info!(port = name, "it carries all frames again"),
                    }
                    if let Some(cell) = self.about.devices.get(usize::from(port.0)) {
                        cell.set_warning(warning);
                    }
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

    #[test]
    fn a_warning_stands_until_it_is_taken_back() {
        let cell = DeviceCell::default();
        assert_eq!(cell.warning(), None);
        cell.set_warning(Some("half of it".into()));
        assert_eq!(cell.warning().as_deref(), Some("half of it"));
        cell.set_warning(None);
        assert_eq!(cell.warning(), None);
    }

    #[test]
    fn the_way_of_frames_is_called_by_its_word() {
        assert_eq!(DeviceCell::of(None).mode(), None);
        for mode in MODES {
            assert_eq!(DeviceCell::of(Some(mode)).mode(), Some(mode.word()));
        }
    }
}
