use std::sync::Arc;

use super::{Error, Principal, Revision, Service, Slot};

impl Service {
    /// Who serves which slot. For admins.
    pub fn plugins(&self, who: Principal) -> Result<Vec<Arc<Revision>>, Error> {
        who.must_be_admin()?;
        let routing = self.plugins.routing();
        Ok(Slot::ALL.iter().map(|slot| routing.slot(*slot).active.clone()).collect())
    }

    /// Reads a slot's component and config again and lets them serve if they pass the gate. For admins.
    pub async fn reload_plugin(&self, who: Principal, slot: Slot) -> Result<Arc<Revision>, Error> {
        who.must_be_admin()?;
        Ok(self.plugins.reload(slot).await?)
    }
}
