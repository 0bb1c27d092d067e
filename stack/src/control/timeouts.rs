//! Classes of idle timeouts: sets beside the default, under names, which routes give to their new flows.
//!
//! Control alone knows the names; packets, groups and entries carry a class's number. A class says some of its timeouts
//! itself and has the others from the default, whatever that says later. The number of a deleted class is given again when
//! no entry has it any more: the hands that sweep the tables put its flows under the default, and say when they have
//! been everywhere.

use super::{Control, ControlError};
use crate::path::FlowTables;
use crate::time::Now;
use flowtable::{State, Tick, TimeoutsNo};
use route::{GroupNo, OptionsAsked, Prefix, SavedGroup, TimeoutClass};

/// A class: its name, and what it says itself.
#[derive(Clone, Copy, Debug)]
struct Class {
    name: TimeoutClass,
    own: [Option<u32>; State::COUNT],
}

/// All that there are, by their numbers; the first is the default's.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: [Option<Class>; TimeoutsNo::COUNT],
    /// Numbers of deleted classes that entries may still have.
    ending: [Option<Ending>; TimeoutsNo::COUNT],
}

/// How far the flows of a deleted class are on their way to the default.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// A thread that was not quiescent since this epoch may not know yet, or give the number to a new flow.
    Told(u64),
    /// Rounds of the hands that began later find all.
    Known(Tick),
}

/// A class of idle timeouts, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutsInfo {
    /// Its name.
    pub name: TimeoutClass,
    /// Seconds by state.
    pub timeouts: Vec<(State, u32)>,
    /// Routes whose new flows get it.
    pub routes: u32,
    /// Groups with a number that have it, by that.
    pub groups: Vec<GroupNo>,
    /// The first of the routes.
    pub first: Vec<Prefix>,
}

/// Routes of a class that are named, and routes that are looked at to find them: some milliseconds.
const NAMED: usize = 8;
const LOOK: usize = 65_536;

impl Classes {
    fn of(&self, name: TimeoutClass) -> Option<(usize, &Class)> {
        let mut all = self.named();
        all.find(|(_, class)| class.name.numbered(0) == name.numbered(0))
    }

    fn named(&self) -> impl Iterator<Item = (usize, &Class)> {
        let all = self.classes.iter().enumerate();
        all.filter_map(|(number, class)| Some((number, class.as_ref()?)))
    }

    /// The numbers' names, for readers.
    pub(super) fn names(&self) -> [Option<TimeoutClass>; TimeoutsNo::COUNT] {
        self.classes.map(|class| class.map(|class| class.name))
    }

    /// A number that no class and no entry has.
    fn free(&self) -> Option<usize> {
        let mut all = self.classes.iter().zip(&self.ending).skip(1);
        let at = all.position(|(class, ending)| class.is_none() && ending.is_none())?;
        Some(at + 1)
    }

    /// Why there is none.
    fn full(&self) -> ControlError {
        match self.ending.iter().flatten().count() {
            0 => ControlError::TimeoutsFull,
            deleted => ControlError::TimeoutsEnding {
                deleted,
                there: self.named().count(),
            },
        }
    }
}

impl Control {
    /// Idle timeout of a state, seconds, in every flow table; it holds for old flows too. Classes that do not say it
    /// themselves follow.
    pub fn set_timeout(&self, state: State, seconds: u32) {
        for (number, class) in self.classes.classes.iter().enumerate() {
            if class.is_none_or(|class| class.own[state as usize].is_none()) {
                self.store_timeout(number, state, seconds);
            }
        }
    }

    /// The same of a class, which is made if there is none with this name.
    ///
    /// # Errors
    /// There is no room for one more.
    pub fn set_class_timeout(
        &mut self,
        name: TimeoutClass,
        state: State,
        seconds: u32,
    ) -> Result<(), ControlError> {
        if name.is_default() {
            self.set_timeout(state, seconds);
            return Ok(());
        }
        let number = self.add_timeouts(name)?;
        if let Some(Some(class)) = self.classes.classes.get_mut(number) {
            class.own[state as usize] = Some(seconds);
        }
        self.store_timeout(number, state, seconds);
        Ok(())
    }

    /// Makes a class, if there is none with this name, and gives its number.
    ///
    /// # Errors
    /// There is no room for one more.
    pub fn add_timeouts(&mut self, name: TimeoutClass) -> Result<usize, ControlError> {
        if name.is_default() {
            return Ok(0);
        }
        if let Some((number, _)) = self.classes.of(name) {
            return Ok(number);
        }
        let number = self.classes.free().ok_or_else(|| self.classes.full())?;
        let class = Class {
            name: name.numbered(number as u8),
            own: [None; State::COUNT],
        };
        if let Some(free) = self.classes.classes.get_mut(number) {
            *free = Some(class);
        }
        Ok(number)
    }

    /// Deletes a class that no route and no group with a number has. Flows that have it go on with the default for good.
    ///
    /// # Errors
    /// There is none, or it is in use.
    pub fn delete_timeouts(&mut self, name: TimeoutClass) -> Result<(), ControlError> {
        self.refuse_in_batch()?;
        if name.is_default() {
            return Err(ControlError::TimeoutsDefault);
        }
        let (number, _) = self
            .classes
            .of(name)
            .ok_or_else(|| self.no_timeouts(name))?;
        let (routes, groups) = self.routes.timeouts_used(number as u8);
        if routes > 0 || !groups.is_empty() {
            let by = users(routes, &groups);
            return Err(ControlError::TimeoutsInUse { name, by });
        }
        if let Some(class) = self.classes.classes.get_mut(number) {
            *class = None;
        }
        self.end_timeouts(number);
        for state in State::ALL.iter().copied() {
            self.store_timeout(number, state, self.tables.v4.timeouts().get(state));
        }
        Ok(())
    }

    /// Entries with this number are to have the default's.
    fn end_timeouts(&mut self, number: usize) {
        let of = TimeoutsNo::new(number as u8);
        for tables in [&self.tables, &self.host_tables] {
            tables.v4.end_timeouts(of);
            tables.v6.end_timeouts(of);
        }
        let epoch = self.view.qsbr().advance();
        if let Some(ending) = self.classes.ending.get_mut(number) {
            *ending = Some(Ending::Told(epoch));
        }
    }

    /// Whether timeouts of a class are on their way out.
    pub(super) fn ends_timeouts(&self) -> bool {
        self.classes.ending.iter().any(Option::is_some)
    }

    /// Numbers that no entry has any more are free. A slot on its way has no hand, so these wait for it.
    pub(super) fn free_timeouts(&mut self, now: Now) {
        if !self.ends_timeouts() || self.moves_slots() {
            return;
        }
        let swept = self.all_swept_since();
        let tables = [&self.tables, &self.host_tables];
        for (number, ending) in (0..).zip(&mut self.classes.ending) {
            match *ending {
                Some(Ending::Told(epoch)) if self.view.qsbr().passed(epoch) => {
                    *ending = Some(Ending::Known(now.tick()));
                }
                Some(Ending::Known(since)) if swept.is_none_or(|swept| swept > since) => {
                    let of = TimeoutsNo::new(number);
                    tables.iter().for_each(|tables| {
                        tables.v4.begin_timeouts(of);
                        tables.v6.begin_timeouts(of);
                    });
                    *ending = None;
                }
                _ => {}
            }
        }
    }

    /// When the oldest of all hands' last whole rounds began; `None` if there are no flows.
    fn all_swept_since(&self) -> Option<Tick> {
        let of = |tables: &FlowTables| [tables.v4.swept_since(), tables.v6.swept_since()];
        let all = [of(&self.tables), of(&self.host_tables)].into_iter();
        all.flatten().flatten().min()
    }

    /// All classes but the default, by their names.
    pub fn timeouts(&self) -> Vec<TimeoutsInfo> {
        let info = |(number, class): (usize, &Class)| {
            let timeouts = self.tables.v4.timeouts_of(TimeoutsNo::new(number as u8));
            let of = |state: &State| (*state, timeouts.get(*state));
            let (routes, groups) = self.routes.timeouts_used(number as u8);
            TimeoutsInfo {
                name: class.name,
                timeouts: State::ALL.iter().map(of).collect(),
                routes,
                groups,
                first: Vec::new(),
            }
        };
        let mut all: Vec<_> = self.classes.named().map(info).collect();
        self.name_routes(&mut all);
        all.sort_by_key(|info| info.name);
        all
    }

    /// The first routes of each class, as far as they are among the first of all.
    fn name_routes(&self, all: &mut [TimeoutsInfo]) {
        let wanted = |info: &TimeoutsInfo| NAMED.min(info.routes as usize);
        let mut missing: usize = all.iter().map(wanted).sum();
        for (prefix, number) in self.routes.timeouts_of_routes().take(LOOK) {
            if missing == 0 {
                break;
            }
            let of = all.iter_mut().find(|info| info.name.number() == number);
            if let Some(info) = of.filter(|info| info.first.len() < NAMED) {
                info.first.push(prefix);
                missing = missing.saturating_sub(1);
            }
        }
    }

    /// Options with the number of the class that they name.
    pub(super) fn timed(&self, asked: OptionsAsked) -> Result<OptionsAsked, ControlError> {
        let Some(name) = asked.timeouts.filter(|name| !name.is_default()) else {
            return Ok(asked);
        };
        let (_, class) = self
            .classes
            .of(name)
            .ok_or_else(|| self.no_timeouts(name))?;
        Ok(OptionsAsked {
            timeouts: Some(class.name),
            ..asked
        })
    }

    /// The same for groups of an earlier gateway; a class that is no more is the default.
    pub(super) fn timed_groups(&self, mut groups: Vec<SavedGroup>) -> Vec<SavedGroup> {
        for options in groups.iter_mut().map(|group| &mut group.options) {
            let class = self.classes.of(options.timeouts);
            options.timeouts = class.map_or_else(TimeoutClass::default, |(_, class)| class.name);
        }
        groups
    }

    fn no_timeouts(&self, name: TimeoutClass) -> ControlError {
        let names = self
            .classes
            .named()
            .map(|(_, class)| class.name.to_string());
        let all: Vec<String> = [TimeoutClass::DEFAULT_NAME.to_owned()]
            .into_iter()
            .chain(names)
            .collect();
        ControlError::NoTimeouts {
            name,
            names: all.join(", "),
        }
    }

    fn store_timeout(&self, number: usize, state: State, seconds: u32) {
        let number = TimeoutsNo::new(number as u8);
        for tables in [&self.tables, &self.host_tables] {
            tables.v4.timeouts_of(number).set(state, seconds);
            tables.v6.timeouts_of(number).set(state, seconds);
        }
    }
}

/// Who uses a class, in words.
fn users(routes: u32, groups: &[GroupNo]) -> String {
    let routes = match routes {
        0 => None,
        1 => Some("1 route".to_owned()),
        _ => Some(format!("{routes} routes")),
    };
    let groups = groups.iter().map(|number| format!("group {number}"));
    let all: Vec<String> = routes.into_iter().chain(groups).collect();
    all.join(", ")
}
