use super::{
    Diagnostic, Object, Pointer, Source,
    convert::{self, Findings},
    json::{self, DecodeError},
    object::refer,
    schema::{AnyKind, Envelope, PeerDocument, PoolDocument, VipDocument},
};
use crate::model::{Kind, Name, ObjectRef};
use jsonc_parser::ast::Value;
use std::sync::Arc;

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The object, if nothing in the file is wrong.
    pub object: Option<Object>,
    /// Which object the file claims to be, if it says so, wrong or not.
    pub identity: Option<ObjectRef>,
    /// What is wrong with it, and what is odd.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the one object that `source` holds. What it refers to is not looked at.
pub fn decode(source: &Arc<Source>) -> Decoded {
    let root = match json::parse(&source.text, source.has_comments()) {
        Ok(root) => root,
        Err(error) => {
            let diagnostic = Diagnostic::error("SyntaxError", error.message).at(source, Some(error.span));
            let diagnostic = Diagnostic { help: error.help, ..diagnostic };
            return Decoded { object: None, identity: None, diagnostics: vec![diagnostic] };
        }
    };
    let kind = match json::from_value::<AnyKind>(&root) {
        Ok(AnyKind { kind }) => kind.into(),
        Err(error) => {
            let diagnostics = vec![misshapen(source, error, None)];
            return Decoded { object: None, identity: None, diagnostics };
        }
    };
    let identity = identity(kind, &root);
    let mut findings = Findings::new(source, &root, identity.clone());
    let object = match object(kind, &root, &mut findings) {
        Ok(object) => object.filter(|_| !findings.has_errors()),
        Err(error) => {
            let diagnostics = vec![misshapen(source, error, identity.clone())];
            return Decoded { object: None, identity, diagnostics };
        }
    };
    Decoded { object, identity, diagnostics: findings.into_diagnostics() }
}

fn object(kind: Kind, root: &Value<'_>, findings: &mut Findings<'_>) -> Result<Option<Object>, DecodeError> {
    Ok(match kind {
        Kind::Vip => {
            let document: VipDocument = json::from_value(root)?;
            let name = name(&document, findings);
            convert::vip(name, &document.spec, findings).map(|vip| Object::Vip(Arc::new(vip)))
        }
        Kind::Pool => {
            let document: PoolDocument = json::from_value(root)?;
            let name = name(&document, findings);
            convert::pool(name, &document.spec, findings).map(|pool| Object::Pool(Arc::new(pool)))
        }
        Kind::Peer => {
            let document: PeerDocument = json::from_value(root)?;
            let name = name(&document, findings);
            convert::peer(name, &document.spec, findings).map(|peer| Object::Peer(Arc::new(peer)))
        }
    })
}

/// `None`, and a note, if the name is none; the rest is looked at all the same.
fn name<K, S>(document: &Envelope<K, S>, findings: &mut Findings<'_>) -> Option<Name> {
    let at = Pointer::root().key("metadata").key("name");
    findings.name(&at, &document.metadata.name)
}

/// What the document calls itself, read without regard to the rest of it.
fn identity(kind: Kind, root: &Value<'_>) -> Option<ObjectRef> {
    let name = root.as_object()?.get_object("metadata")?.get_string("name")?;
    Some(refer(kind, &Name::new(&name.value).ok()?))
}

fn misshapen(source: &Arc<Source>, error: DecodeError, object: Option<ObjectRef>) -> Diagnostic {
    let place = if error.pointer == Pointer::root() { String::new() } else { format!(" at {}", error.pointer) };
    let diagnostic =
        Diagnostic::error(error.reason(), format!("{}{place}", error.message())).at(source, error.span.clone());
    Diagnostic { object, help: error.help(), ..diagnostic }
}

#[cfg(test)]
mod tests;
