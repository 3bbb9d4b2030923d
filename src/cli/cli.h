/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What the files of the command line tool share: the table of verbs, parsed arguments, the context
 * a verb runs in, and the only functions of the project that print. Uses the library by its public
 * header alone. */

#include <vm-manager.h>

typedef struct {
  const char *name;
  char letter;         /* 0: none */
  const char *metavar; /* NULL: a flag without a value */
  const char *help;
} CliOption;

typedef struct {
  GHashTable *values; /* option name → GPtrArray of char * (empty strings for flags) */
  GPtrArray *names;   /* positional arguments, of char * */
  char **rest;        /* what stood behind `--`; NULL when there was none */
} CliArgs;

typedef struct Cli Cli;

/* One row a verb; its file exports it. @run returns the exit status, unless it set @error. */
typedef struct {
  const char *name;
  const char *synopsis; /* of its arguments */
  const char *summary;
  const CliOption *options; /* ends with a row without name; NULL: none */
  guint min_names;
  guint max_names;
  gboolean takes_rest;
  int (*run) (Cli *cli, const CliArgs *args, GError **error);
} CliVerb;

struct Cli {
  gboolean json;
  gboolean quiet;
  gboolean color;     /* on stderr */
  gboolean color_out; /* on stdout */
  gboolean utf8;
  char *data_dir;
  GCancellable *cancel;
  VmHypervisorConfig config;
  VmHypervisor *hypervisor;
  GMutex print_lock;
};

extern const CliVerb cli_verb_create;
extern const CliVerb cli_verb_destroy;
extern const CliVerb cli_verb_dial;
extern const CliVerb cli_verb_doctor;
extern const CliVerb cli_verb_down;
extern const CliVerb cli_verb_list;
extern const CliVerb cli_verb_log;
extern const CliVerb cli_verb_plan;
extern const CliVerb cli_verb_ps;
extern const CliVerb cli_verb_ssh;
extern const CliVerb cli_verb_start;
extern const CliVerb cli_verb_status;
extern const CliVerb cli_verb_stop;
extern const CliVerb cli_verb_up;
extern const CliVerb cli_verb_validate;

/* --- args.c --- */

/* Parses @argv (without the program's name) after @verb and the global options. Errors:
 * VM_ERROR_USAGE with a suggestion. */
CliArgs *cli_args_parse (const CliVerb *verb, char **argv, GError **error);
void cli_args_free (CliArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CliArgs, cli_args_free)

extern const CliOption cli_global_options[];

gboolean cli_args_has (const CliArgs *args, const char *option);
/* How often it was given. */
guint cli_args_count (const CliArgs *args, const char *option);
/* The last value given, or NULL. Borrowed. */
const char *cli_args_get (const CliArgs *args, const char *option);
/* All values, of char *; NULL when there are none. Borrowed. */
const GPtrArray *cli_args_get_all (const CliArgs *args, const char *option);
/* The one name that was given, as argument or by --name. Borrowed. Errors: VM_ERROR_USAGE. */
const char *cli_args_get_name (const CliArgs *args, GError **error);
/* A whole number of at least @min; @fallback when it was not given. Errors: VM_ERROR_USAGE. */
gboolean cli_args_get_number (const CliArgs *args, const char *option, guint64 min, guint64 max,
                              guint64 fallback, guint64 *out_value, GError **error);

/* --- output.c --- */

/* To stdout. */
void cli_print (Cli *cli, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* A line of progress to stderr, `name: text`; nothing with --quiet. Thread-safe. */
void cli_progress (Cli *cli, const char *name, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* What a guest's command printed, as it is, to our own stdout or stderr. Thread-safe. */
void cli_relay (Cli *cli, gboolean is_stderr, const char *bytes, gsize n);
void cli_warn (Cli *cli, const char *line);
void cli_print_error (Cli *cli, const GError *error);
/* The exit status for a failure of @error's kind. */
int cli_exit_status (const GError *error);
/* Asks on the terminal before @what is done to @names. FALSE with VM_ERROR_CANCELLED when the
 * answer is no; without a terminal and without --yes VM_ERROR_USAGE. */
gboolean
cli_confirm (Cli *cli, const CliArgs *args, const char *what, char **names, GError **error);
/* Rows of cells, the first row being the head; columns are aligned. */
void cli_print_table (Cli *cli, GPtrArray *rows, guint n_columns);
/* Adds a member to the object that @builder is in; a @text of NULL is null. */
void cli_json_text (JsonBuilder *builder, const char *member, const char *text);
void cli_json_int (JsonBuilder *builder, const char *member, gint64 value);
/* Prints @node and takes it. */
void cli_print_json (Cli *cli, JsonNode *node);

/* "vcpus 2 → 4". Owned by the caller. */
char *cli_describe_change (const VmChange *change);

/* "2026-01-02 03:04:05" in local time, "?" for no time that could be. Owned by the caller. */
char *cli_format_time (gint64 unix_s);
/* "2026-01-02 03:04:05 start: ok". Owned by the caller. */
char *cli_describe_event (const VmEvent *event);

/* --- machine.c: one VM in the hands of a command --- */

typedef struct {
  Cli *cli;
  VmStore *store;
  VmLock *lock;
  VmHandle *handle;
  VmPhase phase;
  char *origin;
  gboolean provision_all; /* also the steps that have succeeded */
} CliMachine;

/* Locks VM @name for @purpose and loads it. Errors: VM_ERROR_VM_NOT_FOUND, VM_ERROR_VM_LOCKED. */
CliMachine *
cli_machine_open (Cli *cli, const char *name, const char *purpose, const VmOp *op, GError **error);

/* The same without the lock, for commands that change nothing. */
CliMachine *cli_machine_peek (Cli *cli, const char *name, GError **error);

/* Makes the VM of @spec (taken), recorded before anything of it exists. What is left of an earlier,
 * interrupted making is removed first. Errors: VM_ERROR_VM_EXISTS. */
CliMachine *cli_machine_create (Cli *cli, VmSpec *spec, const VmOp *op, GError **error);

/* The VM of @spec (taken), which the VMFile @origin describes: made if there is none, else brought
 * up to @spec as far as its state allows, telling what has to wait. Errors: VM_ERROR_VM_EXISTS when
 * it belongs to another VMFile and is not to be adopted. */
CliMachine *cli_machine_bring (Cli *cli, VmSpec *spec, const char *origin, gboolean adopt,
                               const VmOp *op, GError **error);

void cli_machine_free (CliMachine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CliMachine, cli_machine_free)

gboolean cli_machine_start (CliMachine *machine, const VmOp *op, GError **error);
gboolean cli_machine_stop (CliMachine *machine, guint grace_s, const VmOp *op, GError **error);
gboolean cli_machine_destroy (CliMachine *machine, const VmOp *op, GError **error);
/* Keeps what has changed in the handle, in the store and in the VM's folder. */
gboolean cli_machine_save (CliMachine *machine, GError **error);
/* Notes in the journal how @operation ended (@error tells why it failed); passes @succeeded on. */
gboolean
cli_machine_note (CliMachine *machine, const char *operation, gboolean succeeded, GError **error);

VmHypervisor *cli_hypervisor (Cli *cli);

/* --- reach.c: into the guest --- */

/* Waits for SSH and runs the steps that have to run. */
gboolean cli_machine_provision (CliMachine *machine, const VmOp *op, GError **error);
/* Waits until the guest's sshd greets; the connection is the caller's. */
gboolean cli_machine_dial (CliMachine *machine, int *out_fd, const VmOp *op, GError **error);

/* --- recover.c: VMs that the store has lost --- */

/* Writes the copy of the VM's record into its folder. */
gboolean cli_record_write (const VmHandle *handle, const char *origin, GError **error);

/* Takes the VM @name back into the store by the record in its folder; FALSE when there is none. */
gboolean cli_recover (Cli *cli, VmStore *store, const char *name);

/* The same for every folder that none of @rows (of VmRow) is about; whether there was one. */
gboolean cli_recover_all (Cli *cli, VmStore *store, const GPtrArray *rows);

/* --- jobs.c: the same thing done to several VMs --- */

typedef gboolean (*CliJobFunc) (Cli *cli, const char *name, gpointer data, const VmOp *op,
                                GError **error);

/* Runs @func for each of @names, @parallel at once, under Ctrl+C, and prints the errors. Returns
 * the exit status: that of the only failure, 1 for several. */
int cli_for_each (Cli *cli, char **names, guint parallel, CliJobFunc func, gpointer data);

/* The VMs that a command is about: its positional names, --name, or with --all every VM. */
char **cli_select_names (Cli *cli, const CliArgs *args, GError **error);

/* --- project.c: the VMFile of a command --- */

typedef struct {
  char *path; /* absolute */
  char *dir;
  VmFile *file;
  GPtrArray *selected; /* of const VmDef *, in the order of depends-on */
} CliProject;

/* Finds, reads and checks the VMFile (--file, or the nearest); prints its diagnostics when it has
 * faults. --name selects some of its VMs. */
CliProject *cli_project_load (Cli *cli, const CliArgs *args, GError **error);
void cli_project_free (CliProject *project);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CliProject, cli_project_free)
