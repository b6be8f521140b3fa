//! What comes after: detaching, and what daemons leave to each other.

use std::collections::BTreeSet;

use fail_points::{Point, pass};
use linux::netlink::Error;
use linux::route::{Changes, Route};
use rustix::io::Errno;

use super::ports::HostPort;
use super::{Bridge, flows, interface_index, targets};
use crate::attachment::AttachmentRecord;
use crate::errors::{AdoptError, CleanUpError, DetachError};

impl Bridge {
    /// Takes back what a container has. The link goes with the container's namespace, which
    /// the kernel takes apart in its own time.
    pub(crate) fn detach(&self, container_id: &str) -> Result<(), DetachError> {
        let Some(record) = self.book().endpoints.remove(container_id) else { return Ok(()) };
        let ports: Vec<HostPort> = record.ports.iter().map(HostPort::from).collect();
        let withdrawn = self.firewall.withdraw(&ports);
        pass(Point::StopWithdrawn);
        flows::lead_away_from(&record);
        // Free only now: another container's port must not be withdrawn.
        self.publisher.release(&record.ports);
        self.book().addresses.release(record.address, record.host_interface);
        withdrawn.map_err(|source| DetachError::Unpublish {
            container: record.container_name,
            source: source.into(),
        })
    }

    pub(crate) fn adopt(&self, record: AttachmentRecord) -> Result<(), AdoptError> {
        let mut book = self.book();
        if book.endpoints.contains_key(&record.container_id) {
            return Ok(());
        }
        if !book.addresses.take(record.address) {
            return Err(AdoptError::AddressTaken {
                address: record.address,
                container: record.container_name,
            });
        }
        self.publisher.adopt(&record.container_name, &record.ports);
        self.firewall.adopt(&targets(&record));
        book.endpoints.insert(record.container_id.clone(), record);
        Ok(())
    }

    /// Removes the links and ports that an earlier daemon left and nobody adopted.
    pub(crate) fn collect(&self) -> Result<(), CleanUpError> {
        self.remove_strangers()?;
        let has_endpoints = !self.book().endpoints.is_empty();
        let has_table = self.firewall.exists().map_err(clean_up("look at the firewall"))?;
        if has_endpoints {
            self.prepare()
                .map_err(|source| CleanUpError::Prepare { network: self.name.clone(), source })?;
        } else if has_table {
            // Nobody is published. The table is written again when somebody is.
            self.firewall.remove().map_err(clean_up("remove the firewall's table"))?;
        }
        Ok(())
    }

    fn remove_strangers(&self) -> Result<(), CleanUpError> {
        let Some(bridge) = interface_index(&self.bridge) else { return Ok(()) };
        let failed = clean_up("remove the links of containers that are gone");
        let route = Route::open().map_err(&failed)?;
        let links = route.links().map_err(&failed)?;
        let known: BTreeSet<_> =
            self.endpoints().into_iter().map(|record| record.host_interface).collect();
        let mut changes = Changes::default();
        for link in links {
            let is_port = link.bridge == Some(bridge) && link.kind == "veth";
            if is_port && !known.contains(&link.name) {
                changes.remove_link(link.index);
            }
        }
        match route.change(&changes) {
            // It went by itself in the meantime, as it should.
            Err(error) if error.errno == Errno::NODEV => Ok(()),
            result => result.map_err(failed),
        }
    }

    /// Removes the bridge and the table. Containers that are still there are cut off.
    pub(crate) fn flush(&self) -> Result<(), CleanUpError> {
        // From here on no spare is made.
        *self.device() = None;
        self.drop_spares();
        let removed = self.firewall.remove().map_err(clean_up("remove the firewall's table"));
        let failed = clean_up("remove the bridge");
        let route = Route::open().map_err(&failed)?;
        if let Some(index) = interface_index(&self.bridge) {
            let mut changes = Changes::default();
            changes.remove_link(index);
            route.change(&changes).map_err(&failed)?;
        }
        removed
    }

    /// Notes a container's new name.
    pub(crate) fn rename(&self, container_id: &str, name: &str) {
        if let Some(record) = self.book().endpoints.get_mut(container_id) {
            name.clone_into(&mut record.container_name);
            self.publisher.rename(name, &record.ports);
        }
    }
}

fn clean_up(step: &'static str) -> impl Fn(Error) -> CleanUpError {
    move |source| CleanUpError::Step { step, source: source.into() }
}
