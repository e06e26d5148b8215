// A plugin of Haraka: who has a mailbox, and a file for each message.
const fs = require('node:fs');
const path = require('node:path');

// Where the mailboxes are, where files are made, and the domain.
const { MAIL_DIR, MAKING_DIR, DOMAIN } = process.env;
const users = ['alice', 'bob', 'carol'];
let count = 0;

exports.hook_rcpt = (next, connection, params) => {
    // Nothing goes elsewhere, whoever logged in.
    connection.relaying = false;
    const { user, host } = params[0];
    if (host !== DOMAIN) return next(DENY, 'no such domain');
    if (user === 'later') return next(DENYSOFT, 'mailbox busy, try later');
    if (users.includes(user)) return next(OK);
    return next(DENY, 'no such mailbox');
};

exports.hook_queue = (next, connection) => {
    const { transaction } = connection;
    const name = `${String(++count).padStart(6, '0')}.haraka`;
    const first = path.join(MAKING_DIR, name);
    const file = fs.createWriteStream(first);
    file.on('error', (error) => next(DENYSOFT, error.message));
    file.on('close', () => {
        for (const { user } of transaction.rcpt_to) {
            const folder = path.join(MAIL_DIR, user, 'new');
            fs.mkdirSync(folder, { recursive: true });
            const copy = `${first}.${user}`;
            fs.copyFileSync(first, copy);
            fs.renameSync(copy, path.join(folder, name));
        }
        fs.unlinkSync(first);
        next(OK, 'stored');
    });
    transaction.message_stream.pipe(file);
};
