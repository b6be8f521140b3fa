//! What a template can see: a document, or the fields of a row.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gotmpl::Value as Data;
use serde_json::Value;

/// The values that a template is filled with.
pub(crate) struct Scope {
    root: Arc<BTreeMap<Arc<str>, Data>>,
    /// What Go calls the root's type; empty for a map.
    type_name: &'static str,
    /// Documents by the address of the map or list that was made of each. The maps are
    /// sorted; Go's are structures, whose members have an order. All of them live as long
    /// as the root does, so no address is used twice.
    documents: HashMap<usize, String>,
    root_document: Option<String>,
    /// Whether what is missing is shown instead of refused.
    is_open: bool,
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("type_name", &self.type_name).finish_non_exhaustive()
    }
}

impl Scope {
    /// An empty root of this type.
    pub(crate) fn new(type_name: &'static str) -> Self {
        Self {
            root: Arc::default(),
            type_name,
            documents: HashMap::new(),
            root_document: None,
            is_open: type_name.is_empty(),
        }
    }

    /// A document as the root. What it does not have is refused.
    pub(crate) fn from_document(document: &Value) -> Self {
        Self::completed(document, document)
    }

    /// A document with members that its original does not have. `json` shows the original.
    pub(crate) fn completed(document: &Value, original: &Value) -> Self {
        let mut scope = Self::new("");
        if let Value::Object(members) = document {
            for (name, value) in members {
                let data = scope.data(value, original.get(name).unwrap_or(&Value::Null));
                Arc::make_mut(&mut scope.root).insert(name.as_str().into(), data);
            }
        }
        scope.root_document = Some(original.to_string());
        scope.is_open = false;
        scope
    }

    /// Shows what is missing, instead of refusing it.
    pub(crate) fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Adds a field to the root.
    pub(crate) fn set(&mut self, name: &str, value: &Value) {
        let data = self.data(value, value);
        Arc::make_mut(&mut self.root).insert(name.into(), data);
    }

    /// What `{{json .}}` prints.
    pub(crate) fn set_document(&mut self, document: String) {
        self.root_document = Some(document);
    }

    /// Lets `.Label "name"` be asked, for the names that the template has.
    ///
    /// A function that a template calls must own what it uses, and rows are borrowed: so
    /// the labels are looked up now, by the strings in the template.
    pub(super) fn set_labels(&mut self, label: impl Fn(&str) -> String, source: &str) {
        let names = source.split(['"', '`']);
        let labels: BTreeMap<String, String> =
            names.map(|name| (name.to_owned(), label(name))).collect();
        let function = move |arguments: &[Data]| {
            let name = arguments.first().map(ToString::to_string).unwrap_or_default();
            Ok(Data::String(labels.get(&name).cloned().unwrap_or_default().into()))
        };
        Arc::make_mut(&mut self.root).insert("Label".into(), Data::Function(Arc::new(function)));
    }

    pub(super) fn root(&self) -> Data {
        Data::Map(Arc::clone(&self.root))
    }

    pub(super) const fn type_name(&self) -> &'static str {
        self.type_name
    }

    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Documents by the addresses of their maps, with the root's.
    pub(super) fn documents(&self) -> HashMap<usize, String> {
        let mut documents = self.documents.clone();
        if let Some(document) = &self.root_document {
            documents.insert(address(&self.root), document.clone());
        }
        documents
    }

    fn data(&mut self, value: &Value, original: &Value) -> Data {
        match value {
            Value::Null => Data::Nil,
            Value::Bool(value) => Data::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Data::Int(number),
                (None, Some(number)) => Data::Uint(number),
                (None, None) => Data::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Data::String(text.as_str().into()),
            Value::Array(items) => {
                let list: Arc<[Data]> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| {
                        self.data(item, original.get(index).unwrap_or(&Value::Null))
                    })
                    .collect();
                self.documents.insert(list.as_ptr().addr(), original.to_string());
                Data::List(list)
            }
            Value::Object(members) => {
                let map: BTreeMap<Arc<str>, Data> = members
                    .iter()
                    .map(|(name, value)| {
                        let original = original.get(name).unwrap_or(&Value::Null);
                        (Arc::from(name.as_str()), self.data(value, original))
                    })
                    .collect();
                let map = Arc::new(map);
                self.documents.insert(address(&map), original.to_string());
                Data::Map(map)
            }
        }
    }
}

/// What tells one map from another that looks the same.
pub(super) fn address(map: &Arc<BTreeMap<Arc<str>, Data>>) -> usize {
    Arc::as_ptr(map).addr()
}
