//! Clients that only get what is left for them, however long they take to read it.

use std::time::Instant;

use super::{LEAVE_TIME, Leaving, Supervisor};
use crate::stdio::Client;

impl Supervisor {
    pub(super) fn take_leave_of(&mut self, clients: Vec<Client>) {
        for mut client in clients {
            let Ok(false) = client.take_leave() else { continue };
            let number = self.next_leaving;
            self.next_leaving = self.next_leaving.wrapping_add(1);
            if client.set_leaving(number).is_ok() {
                self.leaving.push(Leaving { client, until: None });
                self.client_leaves(number);
            }
        }
    }

    pub(super) fn client_leaves(&mut self, number: u32) {
        let Some(index) = self.leaving.iter().position(|left| left.client.number == number) else {
            return;
        };
        let leaving = &mut self.leaving[index];
        if leaving.client.take_leave() != Ok(false) {
            self.leaving.remove(index);
            return;
        }
        if !leaving.client.has_output_left() {
            leaving.until.get_or_insert_with(|| Instant::now() + LEAVE_TIME);
        }
        leaving.client.settle(true);
    }
}
