//! The instance's table in the packet filter, and putting it back.
//!
//! The kernel makes changes one after the other anyway, so they are made under a lock, and
//! the book of published ports can be compared with nothing but itself. The table is always
//! written as a whole, in one batch that also removes the old one: at no moment is a port
//! that stays published unreachable.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use linux::netlink::Error;
use linux::nftables::{Batch, Filter};

use super::ports::HostPort;
use super::rules::{self, Rules, SAMPLE_CHAIN, TABLE_SIZE, Target};

#[derive(Debug)]
pub(super) struct Firewall {
    table: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Opened at the first use, in the network namespace of the daemon.
    filter: Option<Filter>,
    ports: BTreeMap<HostPort, Target>,
    /// The rules that the table should have. `None` until it is written.
    rules: Option<Rules>,
}

impl Firewall {
    pub(super) fn new(table: String) -> Self {
        Self { table, state: Mutex::default() }
    }

    /// Writes the table with every published port, whatever is there.
    pub(super) fn install(&self, rules: Rules) -> Result<(), Error> {
        let state = &mut *self.lock();
        state.rules = Some(rules);
        state.write(&self.table)
    }

    /// Writes the table again if somebody removed it or its rules.
    pub(super) fn restore(&self) -> Result<(), Error> {
        let state = &mut *self.lock();
        if state.is_intact(&self.table)? {
            return Ok(());
        }
        state.write(&self.table)
    }

    /// Notes ports that an earlier daemon published, without telling the kernel.
    pub(super) fn adopt(&self, ports: &[(HostPort, Target)]) {
        self.lock().ports.extend(ports.iter().copied());
    }

    /// Leads ports to a container.
    pub(super) fn publish(&self, ports: &[(HostPort, Target)]) -> Result<(), Error> {
        if ports.is_empty() {
            return Ok(());
        }
        let state = &mut *self.lock();
        let mut batch = Batch::default();
        rules::add_ports(&mut batch, &self.table, ports);
        state.filter()?.run(batch)?;
        state.ports.extend(ports.iter().copied());
        Ok(())
    }

    /// Leads ports nowhere again.
    pub(super) fn withdraw(&self, ports: &[HostPort]) -> Result<(), Error> {
        let state = &mut *self.lock();
        let gone: Vec<_> = ports.iter().filter_map(|port| state.ports.remove_entry(port)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        rules::remove_ports(&mut batch, &self.table, &gone);
        // Somebody else may have removed them, or all we had: then write what should be left.
        state.filter()?.run(batch).or_else(|_| state.write(&self.table))
    }

    /// Removes the table.
    pub(super) fn remove(&self) -> Result<(), Error> {
        let state = &mut *self.lock();
        state.rules = None;
        if state.filter()?.table_size(&self.table)?.is_none() {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.remove_table(&self.table);
        state.filter()?.run(batch)
    }

    /// Whether the kernel has a table of ours.
    pub(super) fn exists(&self) -> Result<bool, Error> {
        Ok(self.lock().filter()?.table_size(&self.table)?.is_some())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The book is changed in one step after the kernel did its part, so that a panic in
        // between leaves it as true as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn filter(&mut self) -> Result<&Filter, Error> {
        match self.filter {
            Some(ref filter) => Ok(filter),
            None => Ok(self.filter.insert(Filter::open()?)),
        }
    }

    fn is_intact(&mut self, table: &str) -> Result<bool, Error> {
        let Some(rules) = &self.rules else { return Ok(true) };
        let rule_count = u32::try_from(rules.sample_size()).ok();
        let filter = self.filter()?;
        Ok(filter.table_size(table)? == Some(TABLE_SIZE)
            && filter.chain_size(table, SAMPLE_CHAIN)? == rule_count)
    }

    fn write(&mut self, table: &str) -> Result<(), Error> {
        let Some(rules) = self.rules.clone() else { return Ok(()) };
        let mut batch = Batch::default();
        if self.filter()?.table_size(table)?.is_some() {
            batch.remove_table(table);
        }
        rules.write(&mut batch, table);
        let ports: Vec<_> = self.ports.iter().map(|(from, to)| (*from, *to)).collect();
        rules::add_ports(&mut batch, table, &ports);
        self.filter()?.run(batch)
    }
}
