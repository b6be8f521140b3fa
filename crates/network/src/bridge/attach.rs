//! Attaching a container: the recipe, and undoing it.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fail_points::{Point, pass, reach};

use super::device::Device;
use super::endpoint::{self, INTERFACE, Plan};
use super::publish::{Owner, Publication};
use super::{Bridge, flows, interface_index, mac_of, targets};
use crate::address::MacAddress;
use crate::attachment::{AttachRequest, Attachment, AttachmentRecord};
use crate::errors::AttachError;
use crate::spares::Spares;

/// How an interface's name on the host begins. Docker's word.
const HOST_INTERFACE_PREFIX: &str = "veth";

/// An endpoint that nobody has yet.
#[derive(Debug)]
pub(crate) struct Spare {
    plan: Plan,
    netns: OwnedFd,
}

impl Bridge {
    /// Connects a container. What fails is undone, and nothing is left.
    pub(crate) fn attach(&self, request: &AttachRequest) -> Result<Attachment, AttachError> {
        self.begin(request)?;
        let _pause = self.spares.pause();
        let result = self.attach_begun(request);
        let mut book = self.book();
        book.attaching.remove(&request.container_id);
        if let Ok(attachment) = &result {
            let record = attachment.record.clone();
            book.endpoints.insert(request.container_id.clone(), record);
        }
        result
    }

    fn begin(&self, request: &AttachRequest) -> Result<(), AttachError> {
        let mut book = self.book();
        let id = &request.container_id;
        if book.endpoints.contains_key(id) || !book.attaching.insert(id.clone()) {
            return Err(AttachError::AlreadyAttached {
                container: request.container_name.clone(),
                network: self.name.clone(),
            });
        }
        Ok(())
    }

    fn attach_begun(&self, request: &AttachRequest) -> Result<Attachment, AttachError> {
        let device = self.ready()?;
        let connect = |source| AttachError::Connect {
            step: "prepare the connection",
            container: request.container_name.clone(),
            source,
        };
        reach(Point::StartNetwork).map_err(connect)?;
        let (plan, spare) = self.plan_or_spare(request, device)?;
        let mut record = self.record(request, &plan);
        let result = self.reserve_ports(&record, request).and_then(|publication| {
            record.ports = publication.ports;
            reach(Point::StartPorts).map_err(connect)?;
            let netns = self.connect(&plan, &record, spare)?;
            Ok((netns, publication.held))
        });
        match result {
            Ok((netns, held_ports)) => Ok(Attachment { netns, held_ports, record }),
            Err(error) => {
                self.publisher.release(&record.ports);
                self.give_back(&plan);
                Err(error)
            }
        }
    }

    /// What the endpoint is to be, and the endpoint itself if there is one ready.
    fn plan_or_spare(
        &self,
        request: &AttachRequest,
        device: Device,
    ) -> Result<(Plan, Option<OwnedFd>), AttachError> {
        if request.mac.is_none()
            && let Some(Spare { plan, netns }) = self.take_spare(device)
        {
            return Ok((plan, Some(netns)));
        }
        let address = match self.take_address() {
            Some(address) => address,
            // The last ones may be those of spares.
            None => {
                if let Some(spare) = self.spares.take_finished() {
                    self.give_back(&spare.plan);
                }
                self.take_address().ok_or_else(|| AttachError::NoAddress {
                    network: self.name.clone(),
                    id: self.id.clone(),
                })?
            }
        };
        Ok((self.plan(request.mac, address, device), None))
    }

    /// A spare of this bridge that nobody has broken.
    fn take_spare(&self, device: Device) -> Option<Spare> {
        loop {
            let spare = self.spares.take()?;
            if spare.plan.device == device && interface_index(&spare.plan.host_interface).is_some()
            {
                return Some(spare);
            }
            self.give_back(&spare.plan);
        }
    }

    pub(crate) fn spares(&self) -> &Arc<Spares<Spare>> {
        &self.spares
    }

    /// Makes an endpoint for whoever comes next. That is no reason to make the bridge.
    pub(crate) fn make_spare(&self) -> Option<Spare> {
        let device = self.device().filter(|device| self.is_there(device))?;
        let plan = self.plan(None, self.take_address()?, device);
        endpoint::make(&plan)
            .inspect_err(|failure| {
                tracing::debug!(error = %failure.source, "cannot {} of a spare", failure.step);
                self.give_back(&plan);
            })
            .ok()
            .map(|netns| Spare { plan: plan.clone(), netns })
    }

    /// The bridge, made or put back if need be.
    fn ready(&self) -> Result<Device, AttachError> {
        self.prepare().map_err(|source| AttachError::Prepare { network: self.name.clone(), source })
    }

    fn take_address(&self) -> Option<Ipv4Addr> {
        self.book().addresses.take_any(|interface| interface_index(interface).is_none())
    }

    fn give_back(&self, plan: &Plan) {
        self.book().addresses.release(plan.address, plan.host_interface.clone());
    }

    fn plan(&self, mac: Option<MacAddress>, address: Ipv4Addr, device: Device) -> Plan {
        Plan {
            device,
            host_interface: format!("{HOST_INTERFACE_PREFIX}{}", &random_hex::<4>()[..7]),
            address,
            mac: mac.unwrap_or_else(|| mac_of(address)),
            mtu: self.settings.mtu,
        }
    }

    fn reserve_ports(
        &self,
        record: &AttachmentRecord,
        request: &AttachRequest,
    ) -> Result<Publication, AttachError> {
        let owner = Owner { name: &record.container_name, address: record.address };
        self.publisher.reserve(owner, &request.ports).map_err(|source| AttachError::Publish {
            container: record.container_name.clone(),
            endpoint: record.endpoint_id.clone(),
            source,
        })
    }

    fn record(&self, request: &AttachRequest, plan: &Plan) -> AttachmentRecord {
        AttachmentRecord {
            container_id: request.container_id.clone(),
            container_name: request.container_name.clone(),
            network_id: self.id.clone(),
            network_name: self.name.clone(),
            endpoint_id: random_hex::<32>(),
            interface: INTERFACE.to_owned(),
            host_interface: plan.host_interface.clone(),
            address: plan.address,
            prefix: plan.device.address.prefix(),
            gateway: plan.device.address.address(),
            mac: plan.mac,
            ports: Vec::new(),
        }
    }

    /// Makes the endpoint unless there is one, and leads the ports to it.
    fn connect(
        &self,
        plan: &Plan,
        record: &AttachmentRecord,
        spare: Option<OwnedFd>,
    ) -> Result<OwnedFd, AttachError> {
        let failed = |step, source| AttachError::Connect {
            step,
            container: record.container_name.clone(),
            source,
        };
        let netns = match spare {
            Some(netns) => netns,
            None => endpoint::make(plan).map_err(|it| failed(it.step, it.source))?,
        };
        reach(Point::StartLink).map_err(|source| failed("make the link", source))?;
        // Last, so that nothing but closing the descriptor has to be undone before it.
        self.firewall
            .publish(&targets(record))
            .map_err(|source| failed("publish the ports", source.into()))?;
        pass(Point::StartPublished);
        flows::lead_to(record);
        Ok(netns)
    }

    /// Lets go of every endpoint that was made in advance.
    pub(super) fn drop_spares(&self) {
        while let Some(spare) = self.spares.take_finished() {
            self.give_back(&spare.plan);
        }
    }
}

fn random_hex<const BYTES: usize>() -> String {
    hex::encode(rand::random::<[u8; BYTES]>())
}
