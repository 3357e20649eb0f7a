"""The trust's own directory: who somebody is, asked by OpenID Connect or LDAP."""
