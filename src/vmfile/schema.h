/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* The VMFile's vocabulary in one table: which settings exist where, what they take, and the field
 * of VmDef, VmNetwork, VmForward or VmStep that they fill. Decoding, validation, suggestions and
 * the reference in docs/vmfile.md all read this table; a new setting is a new row. Knows nothing of
 * files, of diagnostics and of what is done with the definitions. */

#include "vmfile/def.h"

VM_BEGIN_DECLS

/* Where a setting may stand, as a bit. The network and provision scopes follow the order of their
 * enums: the word after `network` or `provision` picks one of them. */
typedef enum {
  VM_IN_FILE = 1 << 0,
  VM_IN_VM = 1 << 1,
  VM_IN_DEFAULTS = 1 << 2,
  VM_IN_IMAGE_URL = 1 << 3,
  VM_IN_CLOUD_INIT = 1 << 4,
  VM_IN_SSH = 1 << 5,
  VM_IN_FORWARD = 1 << 6,
  VM_IN_NET_USER = 1 << 7,
  VM_IN_NET_ISOLATED = 1 << 8,
  VM_IN_NET_TAP = 1 << 9,
  VM_IN_NET_VNIC = 1 << 10,
  VM_IN_NET_NONE = 1 << 11,
  VM_IN_SHELL = 1 << 12,
  VM_IN_COPY = 1 << 13,
} VmScope;

/* How a setting is written; some have two spellings. */
typedef enum {
  VM_AS_NODE = 1 << 0,     /* a node of its own: bridge "br0" */
  VM_AS_PROPERTY = 1 << 1, /* network "tap" bridge="br0" */
  VM_AS_ARGUMENT = 1 << 2, /* the word after the block's name, in table order */
} VmSpelling;

/* What a setting takes, and the C type of its field. */
typedef enum {
  VM_TAKES_BLOCK,    /* no value of its own; what VM_AS_ARGUMENT rows say, and a block */
  VM_TAKES_PRESENCE, /* likewise, and being there sets a gboolean */
  VM_TAKES_NUMBER,   /* guint */
  VM_TAKES_PORT,     /* guint16 */
  VM_TAKES_MIB,      /* guint64: a number of MiB, or "2GiB" */
  VM_TAKES_GIB,      /* guint64: a number of GiB, or "20GiB" */
  VM_TAKES_BOOL,     /* gboolean */
  VM_TAKES_WORD,     /* an enum, one of the row's words */
  VM_TAKES_TEXT,     /* this and all that follow: char * */
  VM_TAKES_CHOICE,   /* one of the row's words */
  VM_TAKES_PATH,     /* on the host */
  VM_TAKES_URL,      /* of an image */
  VM_TAKES_CHECKSUM, /* sha256:HEX, sha512:HEX or an https URL */
  VM_TAKES_VM_NAME,
  VM_TAKES_VM_NAMES, /* GPtrArray of char *; one or more values */
  VM_TAKES_USER,     /* of the guest */
  VM_TAKES_HOST_NAME,
  VM_TAKES_LINK,    /* a network device of the host */
  VM_TAKES_ADDRESS, /* IPv4 */
} VmTakes;

/* The struct that a block makes and its settings fill; the others fill that of the block around. */
typedef enum {
  VM_MAKES_NOTHING,
  VM_MAKES_VM,
  VM_MAKES_NETWORK,
  VM_MAKES_FORWARD,
  VM_MAKES_STEP
} VmMakes;

/* Of the settings of one scope that share a choice, exactly one must be given. */
typedef enum { VM_CHOICE_NONE, VM_CHOICE_IMAGE, VM_CHOICE_COMMAND } VmChoice;

typedef struct {
  const char *name; /* as written; of an argument: what to call it */
  guint scopes;     /* VmScope bits */
  guint spellings;  /* VmSpelling bits */
  VmTakes takes;
  gsize offset;    /* of the field */
  gint64 min, max; /* of numbers, and of a text's length in bytes when max is set */
  const char *const *words;
  guint opens; /* VmScope bits of what may stand inside it, on it or in its block */
  VmMakes makes;
  VmChoice choice;
  gboolean repeatable;
  gboolean required;
  const char *fallback; /* what holds when it is left out; NULL: nothing to say */
  const char *example;  /* a whole, correct setting */
  const char *doc;      /* one line, Markdown */
} VmSetting;

/* The table, ended by a row without a name. */
const VmSetting *vm_schema (void);

/* The setting @name of @scopes in any of @spellings; NULL when there is none. Static. */
const VmSetting *vm_schema_find (guint scopes, guint spellings, const char *name);

/* The @index-th argument that @setting takes before its block, from 0; NULL behind the last. */
const VmSetting *vm_schema_argument (const VmSetting *setting, guint index);

/* The setting of @scopes that @name was probably meant to be: another case, `_` for `-`, a plural,
 * a slip of the finger, a name that other tools use; NULL when nothing is near or two are. */
const VmSetting *vm_schema_suggest (guint scopes, guint spellings, const char *name);

/* Likewise among the words of a list. Static. */
const char *vm_schema_suggest_word (const char *const *words, const char *word);

/* How a message calls the first of @scopes: "a `vm`", "`ssh`". Static. */
const char *vm_schema_scope_title (guint scopes);

/* How a block of the first of @scopes is written: "cloud-init { }". Static. */
const char *vm_schema_scope_form (guint scopes);

/* Whether nodes may stand in a block of any of @scopes. */
gboolean vm_schema_has_nodes (guint scopes);

/* `a`, `b` and `c` (@conjunction "and"), in backquotes; owned by the caller. */
char *vm_schema_join (const char *const *words, const char *conjunction);

/* The reference tables in Markdown, one a scope; owned by the caller. */
char *vm_schema_reference (void);

VM_END_DECLS
