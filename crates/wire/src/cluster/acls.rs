//! Access control lists: DescribeAcls (29), CreateAcls (30), DeleteAcls (31).

use super::{BrokerError, Cluster, ClusterError};
use crate::messages::create_acls_request::AclCreation;
use crate::messages::delete_acls_request::DeleteAclsFilter;
use crate::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, StrBytes};

/// What an ACL is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AclPattern {
    /// The topic of this name; `*` for all.
    Literal,
    /// Topics whose names begin so.
    Prefixed,
}

/// Whether an ACL allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AclPermission {
    /// It denies.
    Deny,
    /// It allows.
    Allow,
}

/// What an ACL allows or denies (`AclOperation`), by Kafka's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclOperation(pub i8);

impl AclOperation {
    /// Everything.
    pub const ALL: Self = Self(2);
    /// Reading.
    pub const READ: Self = Self(3);
    /// Writing.
    pub const WRITE: Self = Self(4);
}

/// One ACL on topics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicAcl {
    /// Topic, or the beginning of topics' names.
    pub topic: String,
    /// Which of these.
    pub pattern: AclPattern,
    /// For whom, such as `User:alice`.
    pub principal: String,
    /// From where; `*` for everywhere.
    pub host: String,
    /// What.
    pub operation: AclOperation,
    /// Allowed or denied.
    pub permission: AclPermission,
}

/// `ResourceType.TOPIC`.
const TOPIC: i8 = 2;
/// `PatternType`, `AclOperation` and `AclPermissionType`: any.
const ANY: i8 = 1;

impl AclPattern {
    fn code(self) -> i8 {
        match self {
            Self::Literal => 3,
            Self::Prefixed => 4,
        }
    }

    fn of(code: i8) -> Option<Self> {
        [Self::Literal, Self::Prefixed].into_iter().find(|pattern| pattern.code() == code)
    }
}

impl AclPermission {
    fn code(self) -> i8 {
        match self {
            Self::Deny => 2,
            Self::Allow => 3,
        }
    }

    fn of(code: i8) -> Option<Self> {
        [Self::Deny, Self::Allow].into_iter().find(|permission| permission.code() == code)
    }
}

impl Cluster {
    /// All ACLs on topics. Needs DESCRIBE on the cluster.
    ///
    /// # Errors
    /// When no broker answers, or it is refused: SECURITY_DISABLED (54) without an authorizer.
    pub async fn topic_acls(&self) -> Result<Vec<TopicAcl>, ClusterError> {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(TOPIC)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = self.call_any(&request).await?;
        let message = answer.error_message.map(|message| message.to_string());
        BrokerError(answer.error_code).check("describe the ACLs of", "topics", message)?;
        let mut acls = Vec::new();
        for resource in answer.resources {
            let Some(pattern) = AclPattern::of(resource.pattern_type) else { continue };
            for acl in resource.acls {
                let Some(permission) = AclPermission::of(acl.permission_type) else { continue };
                acls.push(TopicAcl {
                    topic: resource.resource_name.to_string(),
                    pattern,
                    principal: acl.principal.to_string(),
                    host: acl.host.to_string(),
                    operation: AclOperation(acl.operation),
                    permission,
                });
            }
        }
        Ok(acls)
    }

    /// Creates `acls`; those that are there already are left as they are. Needs ALTER on the cluster.
    ///
    /// # Errors
    /// When no broker answers, or one is refused.
    pub async fn create_topic_acls(&self, acls: &[TopicAcl]) -> Result<(), ClusterError> {
        let creation = |acl: &TopicAcl| {
            AclCreation::default()
                .with_resource_type(TOPIC)
                .with_resource_name(StrBytes::from_string(acl.topic.clone()))
                .with_resource_pattern_type(acl.pattern.code())
                .with_principal(StrBytes::from_string(acl.principal.clone()))
                .with_host(StrBytes::from_string(acl.host.clone()))
                .with_operation(acl.operation.0)
                .with_permission_type(acl.permission.code())
        };
        let request = CreateAclsRequest::default().with_creations(acls.iter().map(creation).collect());
        let answer = self.call_controller(&request, i16::MAX).await?;
        for (acl, result) in acls.iter().zip(answer.results) {
            let message = result.error_message.map(|message| message.to_string());
            BrokerError(result.error_code).check("create an ACL of topic", &acl.topic, message)?;
        }
        Ok(())
    }

    /// Deletes `acls`; those that are not there do not matter. Needs ALTER on the cluster.
    ///
    /// # Errors
    /// When no broker answers, or one is refused.
    pub async fn delete_topic_acls(&self, acls: &[TopicAcl]) -> Result<(), ClusterError> {
        let filter = |acl: &TopicAcl| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(TOPIC)
                .with_resource_name_filter(Some(StrBytes::from_string(acl.topic.clone())))
                .with_pattern_type_filter(acl.pattern.code())
                .with_principal_filter(Some(StrBytes::from_string(acl.principal.clone())))
                .with_host_filter(Some(StrBytes::from_string(acl.host.clone())))
                .with_operation(acl.operation.0)
                .with_permission_type(acl.permission.code())
        };
        let request = DeleteAclsRequest::default().with_filters(acls.iter().map(filter).collect());
        let answer = self.call_controller(&request, i16::MAX).await?;
        for (acl, result) in acls.iter().zip(answer.filter_results) {
            let message = result.error_message.map(|message| message.to_string());
            BrokerError(result.error_code).check("delete an ACL of topic", &acl.topic, message)?;
        }
        Ok(())
    }
}
