//! The calls on hosts.

use tonic::{Request, Response, Status};

use super::{Api, pb, status};

#[tonic::async_trait]
impl pb::host_service_server::HostService for Api {
    async fn list_hosts(
        &self,
        request: Request<pb::ListHostsRequest>,
    ) -> Result<Response<pb::ListHostsResponse>, Status> {
        let hosts = self.0.hosts(self.caller(&request)?).await.map_err(status)?;
        Ok(Response::new(pb::ListHostsResponse { hosts: hosts.into_iter().map(Into::into).collect() }))
    }
}
