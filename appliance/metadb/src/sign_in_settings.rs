//! How people sign in who have no password here: an OpenID Connect provider, an LDAP directory. One document each, shared by all instances.
//!
//! Invariants: the client's secret and the service account's password come in sealed with the master key (for `settings/oidc` and
//! `settings/ldap`); an empty issuer or host means that there is none.

use bson::{Binary, Document, spec::BinarySubtype};
use holdfast_domain::Role;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{MetaDb, MetaError, error::to_bson};

/// Names of the settings.
const OIDC: &str = "oidc";
const LDAP: &str = "ldap";

/// Whose second factor counts for people who sign in elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecondFactor {
    /// This appliance's, by its policy.
    #[default]
    Here,
    /// The other side's: the policy of this appliance does not ask these people.
    Provider,
}

/// People of a group there have these roles in a group here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupMapping {
    /// Name of the group in the claim, or its distinguished name.
    pub theirs: String,
    /// Id or name of the group here.
    pub group: String,
    /// Roles there.
    pub roles: Vec<Role>,
}

/// Who of the other side gets in, and with which rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Arrivals {
    /// E-mail domains whose people get an account at their first sign-in, lower case. Empty: everyone, where sign-up is open, else nobody.
    pub domains: Vec<String>,
    /// An account that is here already is taken over by whoever has its address there, when that address is verified.
    pub link_by_email: bool,
    /// Whose second factor counts.
    pub second_factor: SecondFactor,
    /// Groups there and roles here. A group that is named here is kept by the other side: roles given by hand are replaced.
    pub mapping: Vec<GroupMapping>,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OidcSettings {
    /// Issuer, an URL; empty: there is none.
    pub issuer: String,
    /// What the button says.
    pub label: String,
    /// Client id.
    pub client_id: String,
    /// Client secret, sealed; None: a public client.
    pub secret_sealed: Option<Binary>,
    /// Scopes beyond `openid`.
    pub scopes: Vec<String>,
    /// Claim that names the person's groups.
    pub groups_claim: String,
    /// Addresses count as verified where the provider says nothing about it.
    pub trust_email: bool,
    /// Certificates of CAs of one's own, PEM.
    pub ca: Option<String>,
    /// Who gets in.
    pub arrivals: Arrivals,
}

/// How the talk with a directory is kept secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LdapSecurity {
    /// TLS from the first byte (636).
    #[default]
    Tls,
    /// StartTLS, required (389).
    StartTls,
    /// None: for a directory on this machine.
    None,
}

/// An LDAP directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LdapSettings {
    /// Host name; empty: there is none.
    pub host: String,
    /// Port.
    pub port: i32,
    /// How the talk is kept secret.
    pub security: LdapSecurity,
    /// Certificates of CAs of one's own, PEM.
    pub ca: Option<String>,
    /// Distinguished name of the service account; empty: anonymous.
    pub bind_dn: String,
    /// Its password, sealed.
    pub password_sealed: Option<Binary>,
    /// Where people are searched.
    pub user_base: String,
    /// Finds one person; `{user}` is what was typed.
    pub user_filter: String,
    /// Attribute that never changes and names the person; empty: the distinguished name.
    pub id_attribute: String,
    /// Attribute with the e-mail address.
    pub email_attribute: String,
    /// Attribute with the name.
    pub name_attribute: String,
    /// Where groups are searched; empty: only the person's `memberOf` counts.
    pub group_base: String,
    /// Finds the person's groups; `{dn}` is the person's distinguished name.
    pub group_filter: String,
    /// Who gets in.
    pub arrivals: Arrivals,
}

/// A sealed secret, as it is stored.
#[must_use]
pub fn sealed_binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

impl MetaDb {
    async fn sign_in_setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, MetaError> {
        let stored = self.appliance_setting(name).await?;
        let read = stored.map(bson::deserialize_from_document).transpose();
        read.map_err(|source| MetaError::Form { op: "read how people sign in", source })
    }

    async fn put_sign_in_setting<T: Serialize>(&self, name: &str, value: &T) -> Result<(), MetaError> {
        let value = match to_bson("store how people sign in", value)? {
            bson::Bson::Document(value) => value,
            _ => Document::new(),
        };
        self.put_appliance_setting(name, value).await
    }

    /// The OpenID Connect provider. None: there is none.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::Form`].
    pub async fn oidc_settings(&self) -> Result<Option<OidcSettings>, MetaError> {
        Ok(self.sign_in_setting::<OidcSettings>(OIDC).await?.filter(|set| !set.issuer.is_empty()))
    }

    /// Sets the OpenID Connect provider.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn put_oidc_settings(&self, settings: &OidcSettings) -> Result<(), MetaError> {
        self.put_sign_in_setting(OIDC, settings).await
    }

    /// The LDAP directory. None: there is none.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::Form`].
    pub async fn ldap_settings(&self) -> Result<Option<LdapSettings>, MetaError> {
        Ok(self.sign_in_setting::<LdapSettings>(LDAP).await?.filter(|set| !set.host.is_empty()))
    }

    /// Sets the LDAP directory.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn put_ldap_settings(&self, settings: &LdapSettings) -> Result<(), MetaError> {
        self.put_sign_in_setting(LDAP, settings).await
    }
}
