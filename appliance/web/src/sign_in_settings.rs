//! What the settings of a provider and of a directory share: who of there gets in, and with which roles.

use bson::{Document, doc};
use holdfast_metadb::{Arrivals, GroupMapping, SecondFactor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::find_group,
    problem::ApiError,
    roles::{RoleName, names, some_roles},
    state::WebState,
};

/// Longest text of a setting, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 1000;
/// Longest CA certificates, in bytes.
const CA_BYTES_MAX: usize = 262_144;
/// Domains, and lines of the mapping, at most.
const LINES_MAX: usize = 500;

/// Whose second factor counts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SecondFactorName {
    /// This appliance's, by its policy.
    Here,
    /// The other side's: these people are not asked for one here.
    Provider,
}

/// People of a group there have these roles in a group here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MappingLine {
    /// Name of the group in the claim, or its distinguished name in the directory.
    theirs: String,
    /// Id or name of the group here.
    group: String,
    /// Roles there.
    roles: Vec<RoleName>,
}

/// Who of the other side gets in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ArrivalRules {
    /// E-mail domains whose people get an account at their first sign-in. Empty: everyone where sign-up is open, else who is invited. Where
    /// the sign-up is closed nobody gets one.
    domains: Vec<String>,
    /// Whoever has a verified address there takes over the account of that address here; its password no longer works.
    link_by_email: bool,
    /// Whose second factor counts.
    second_factor: SecondFactorName,
    /// Groups there and roles here. A group that is named here is kept by the other side: roles given by hand are replaced at the next
    /// sign-in.
    mapping: Vec<MappingLine>,
}

impl From<&Arrivals> for ArrivalRules {
    fn from(rules: &Arrivals) -> Self {
        let line = |line: &GroupMapping| MappingLine {
            theirs: line.theirs.clone(),
            group: line.group.clone(),
            roles: names(&line.roles),
        };
        Self {
            domains: rules.domains.clone(),
            link_by_email: rules.link_by_email,
            second_factor: match rules.second_factor {
                SecondFactor::Here => SecondFactorName::Here,
                SecondFactor::Provider => SecondFactorName::Provider,
            },
            mapping: rules.mapping.iter().map(line).collect(),
        }
    }
}

impl ArrivalRules {
    /// The rules, if they can be ones and every group that they name is there.
    pub(crate) async fn checked(self, state: &WebState) -> Result<Arrivals, ApiError> {
        if self.domains.len() > LINES_MAX || self.mapping.len() > LINES_MAX {
            return Err(ApiError::bad_request(format!(
                "at most {LINES_MAX} domains and lines of the mapping are taken"
            )));
        }
        let mut domains = Vec::new();
        for domain in &self.domains {
            let domain = domain.trim().trim_start_matches('@').to_lowercase();
            let good = |c: char| c.is_alphanumeric() || "-.".contains(c);
            if domain.is_empty() || !domain.chars().all(good) {
                return Err(ApiError::bad_request(format!("{domain:?} is no domain: `example.org` is expected")));
            }
            domains.push(domain);
        }
        let mut mapping = Vec::new();
        for line in self.mapping {
            check_text(&line.theirs, "a group of the mapping")?;
            if line.theirs.trim().is_empty() {
                return Err(ApiError::bad_request("a line of the mapping names no group of the other side"));
            }
            let found = find_group(state, &line.group).await?;
            let unknown =
                || ApiError::bad_request(format!("the mapping names {:?}: there is no such group", line.group));
            let group = found.ok_or_else(unknown)?;
            let roles = some_roles(&line.roles)?;
            // By its id: whoever makes a group of the same name later gets nobody's roles.
            mapping.push(GroupMapping { theirs: line.theirs.trim().to_owned(), group: group.id.to_string(), roles });
        }
        let second_factor = match self.second_factor {
            SecondFactorName::Here => SecondFactor::Here,
            SecondFactorName::Provider => SecondFactor::Provider,
        };
        Ok(Arrivals { domains, link_by_email: self.link_by_email, second_factor, mapping })
    }
}

/// The rules, for the audit log.
pub(crate) fn facts(rules: &Arrivals) -> Document {
    let line = |line: &GroupMapping| {
        let roles: Vec<&str> = line.roles.iter().map(|role| role.as_str()).collect();
        format!("{} -> {}: {}", line.theirs, line.group, roles.join(", "))
    };
    doc! {
        "domains": rules.domains.clone(),
        "linkByEmail": rules.link_by_email,
        "secondFactorHere": rules.second_factor == SecondFactor::Here,
        "mapping": rules.mapping.iter().map(line).collect::<Vec<_>>(),
    }
}

/// Refuses what is no line of text.
pub(crate) fn check_text(text: &str, what: &str) -> Result<(), ApiError> {
    if text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "{what} is longer than {TEXT_CHARS_MAX} characters, or is not text"
        )));
    }
    Ok(())
}

/// CA certificates that can be used; None: those of the machine.
pub(crate) fn checked_ca(ca: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(pem) = ca.filter(|pem| !pem.trim().is_empty()) else { return Ok(None) };
    if pem.len() > CA_BYTES_MAX {
        return Err(ApiError::bad_request("the CA certificates are too long: give the CA alone"));
    }
    let readable = holdfast_service::client_config(&pem);
    readable.map_err(|error| ApiError::bad_request(format!("the CA certificates cannot be used: {error}")))?;
    Ok(Some(pem))
}

/// True for a host of this machine, where a talk in the clear is seen by nobody.
pub(crate) fn local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
